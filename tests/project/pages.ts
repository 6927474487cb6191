/** References of Markdown pages: files of the project, and headings of pages. */

/** A link to a file, or to a heading of one. */
export interface Link {
  /** As written; empty for a heading of the same page. */
  readonly path: string;
  readonly anchor: string | undefined;
}

const FILE = /^[\w.*-]+(?:\/[\w.*-]+)*\.(?:ts|mjs|go|py|proto|md|json|yaml|txt)$/;
const FOLDER = /^(?:lib|tests|examples|tools|proto|docs|\.ci)(?:\/[\w.*-]+)*$/;

/** The prose of a page: without its fenced blocks. */
function proseOf(page: string): string {
  return page.replace(/^```[^\n]*\n[\s\S]*?^```$/gm, "");
}

/** Files and folders of the project that a page names in backticks, such as `lib/rpc/carrier.ts`, each once. */
export function pathsIn(page: string): string[] {
  const spans = Array.from(proseOf(page).matchAll(/`([^`\n]+)`/g), ([, span]) => span!);
  return [...new Set(spans.filter((span) => FILE.test(span) || FOLDER.test(span)))];
}

/** The pattern for a path in which `*` stands for any part of a name. */
export function patternOf(path: string): RegExp {
  const escaped = path.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", "[^/]*").replace(/\/$/, "")}$`);
}

/** Links to other pages and files; links to the web are left out. */
export function linksIn(page: string): Link[] {
  return Array.from(proseOf(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = "", anchor] = target.split("#");
      return { path, anchor };
    });
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: string): Set<string> {
  const headings = Array.from(proseOf(page).matchAll(/^#{1,6} (.+)$/gm), ([, heading]) => heading!);
  return new Set(
    headings.map((heading) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replaceAll(" ", "-")
    ),
  );
}
