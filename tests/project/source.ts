/** The project's own source, read as text. */

import { readdir, readFile } from "node:fs/promises";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout, with a slash at the end. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** The text of a file of the project. */
export function readSource(path: string): Promise<string> {
  return readFile(join(ROOT, path), "utf8");
}

/** Every .ts file in a folder of the project, paths from the root. */
export function sourceFiles(folder: string): Promise<string[]> {
  return filesIn([folder], /\.ts$/);
}

/** Every file in some folders of the project whose path from the root matches, in order. */
export async function filesIn(folders: readonly string[], pattern: RegExp): Promise<string[]> {
  const paths = await Promise.all(folders.map(async (folder) => {
    const names = await readdir(join(ROOT, folder), { recursive: true });
    return names.map((name) => posix.join(folder, name));
  }));
  return paths.flat().filter((path) => pattern.test(path)).toSorted();
}

// Comments, and what may contain text that looks like one: strings, templates, regular expressions.
const LEXEMES = new RegExp(
  [
    String.raw`(?<comment>/\*[\s\S]*?\*/|//[^\n]*)`,
    String.raw`(?<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\`(?:\\[\s\S]|[^\`\\])*\`)`,
    String
      .raw`(?<=[=(,:!&|?{};\[]\s*|return\s)(?<pattern>/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])*/[a-z]*)`,
  ].join("|"),
  "g",
);

/** The text without its comments. */
export function withoutComments(text: string): string {
  return text.replace(LEXEMES, (whole, comment) => comment === undefined ? whole : " ");
}

/** The text without comments, and with every string, template and regular expression emptied. */
export function codeAlone(text: string): string {
  return text.replace(
    LEXEMES,
    (_whole, comment, string) => comment === undefined && string !== undefined ? '""' : " ",
  );
}

/**
 * The specifiers of a file's imports and re-exports, in order: static ones, those of types, and `import()` of a
 * literal.
 */
export function importsOf(text: string): string[] {
  const code = withoutComments(text);
  const specifiers = code.matchAll(
    /(?:^|[;}\s])(?:import|export)\s[^;"'`]*?\bfrom\s*"([^"]+)"|(?:^|[;}\s])import\s*"([^"]+)"|\bimport\s*\(\s*"([^"]+)"/g,
  );
  return [...specifiers].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!);
}

/** The modules that are loaded with a file: its static imports and re-exports, without those of types only. */
export function loadedWith(text: string): string[] {
  const specifiers = withoutComments(text).matchAll(
    /(?:^|[;}\s])(?:import|export)\s(?!\s*type\s)[^;"'`]*?\bfrom\s*"([^"]+)"|(?:^|[;}\s])import\s*"([^"]+)"/g,
  );
  return [...specifiers].map(([, from, bare]) => (from ?? bare)!);
}

/** The path from the root that a relative specifier in `path` names; any other specifier as it is. */
export function resolveImport(path: string, specifier: string): string {
  return specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : specifier;
}
