/** Reads the output of `deno doc --json`: which names are documented, and with which examples. */

import { type Example, markdownExamples } from "./examples.ts";

/** A documentation comment. */
interface Comment {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}

/** The part of the output of `deno doc --json` that is used. */
export interface Documentation {
  readonly nodes: Readonly<
    Record<string, {
      readonly module_doc?: Comment;
      readonly symbols?: readonly {
        readonly name: string;
        readonly declarations: readonly {
          readonly kind: string;
          readonly location: { readonly filename: string };
          readonly jsDoc?: Comment;
        }[];
      }[];
    }>
  >;
}

/** Kinds of symbol that a program calls or uses, rather than only names. */
const USED = new Set(["function", "class", "variable"]);

/** Marks the rule that a name follows: a specification, or the behaviour of another implementation. */
const SOURCE = /\bSource: \S/;

/**
 * Lists problems: an entry without a summary or an example; an exported name without a summary; an exported function,
 * class or constant without an example or without the source of its rule. Types need neither: they are the shapes of
 * what those take and return, and name sources at members that have a rule of their own. One example is enough for a
 * name that is both a type and a constant, and for an overloaded function. Generated services are documented by their
 * .proto files, and have none.
 */
export function undocumented({ nodes }: Documentation): string[] {
  const found: string[] = [];
  for (const [entry, { module_doc: moduleDoc, symbols = [] }] of Object.entries(nodes)) {
    const file = entry.replace(/^.*?\/(?=mod\.ts$|lib\/)/, "");
    if (!hasSummary(moduleDoc)) found.push(`${file}: the module has no summary`);
    if (!hasExample(moduleDoc)) found.push(`${file}: the module has no example`);
    for (const { name, declarations } of symbols) {
      // A name that another entry exports, too, is documented there.
      if (declarations.every(({ kind }) => kind === "reference")) continue;
      if (!declarations.some(({ jsDoc }) => hasSummary(jsDoc))) found.push(`${file}: ${name} has no summary`);
      const generated = declarations.every(({ location }) => location.filename.includes("/proto/gen/"));
      const used = declarations.some(({ kind }) => USED.has(kind));
      if (used && !generated && !declarations.some(({ jsDoc }) => hasExample(jsDoc))) {
        found.push(`${file}: ${name} has no example`);
      }
      if (used && !generated && !declarations.some(({ jsDoc }) => SOURCE.test(jsDoc?.doc ?? ""))) {
        found.push(`${file}: ${name} does not name the source of its rule ("Source: ...")`);
      }
    }
  }
  return found;
}

function hasSummary(comment: Comment | undefined): boolean {
  const doc = (comment?.doc ?? "").trim();
  return doc !== "" && SOURCE.exec(doc)?.index !== 0;
}

function hasExample(comment: Comment | undefined): boolean {
  return examplesOf("", comment).length > 0;
}

function examplesOf(place: string, comment: Comment | undefined): Example[] {
  const examples = (comment?.tags ?? []).filter(({ kind }) => kind === "example");
  return examples.flatMap(({ doc = "" }) => markdownExamples(place, `${doc}\n`))
    .map(({ text }) => ({ place, text }));
}

/** Every example in a documentation comment, including those of members. */
export function commentExamples(documentation: Documentation): Example[] {
  const found = new Map<string, Example>();
  const visit = (value: unknown, place: string): void => {
    if (typeof value !== "object" || value === null) return;
    const { name, jsDoc, module_doc: moduleDoc } = value as {
      name?: unknown;
      jsDoc?: Comment;
      module_doc?: Comment;
    };
    const here = typeof name === "string" && jsDoc !== undefined ? `${place} ${name}`.trim() : place;
    for (const example of [...examplesOf(here, jsDoc), ...examplesOf(here, moduleDoc)]) {
      if (!found.has(example.text)) found.set(example.text, example);
    }
    for (const [key, child] of Object.entries(value)) {
      visit(
        child,
        key === "symbols" ? here : typeof name === "string" && place === here ? `${here} ${name}` : here,
      );
    }
  };
  for (const [entry, node] of Object.entries(documentation.nodes)) {
    visit(node, entry.replace(/^.*?\/(?=mod\.ts$|lib\/)/, ""));
  }
  return [...found.values()];
}
