/** The imports that ARCHITECTURE.md allows between folders. */

/** Files and their imports: paths from the root, or package names. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** A folder, its purpose, and the folders that it may import. */
export interface Layer {
  readonly folder: string;
  readonly purpose: string;
  readonly imports: readonly string[];
}

const ROW = /^\| `([^`]+)`\s*\| ([^|]+?)\s*\| ([^|]*?)\s*\|$/;

/** Reads the rows of the table: `| folder | purpose | imports |`. */
export function readLayers(markdown: string): Layer[] {
  const rows = markdown.split("\n").map((line) => ROW.exec(line)).filter((match) => match !== null)
    .map((match) => ({ folder: match[1]!, purpose: match[2]!, imports: match[3]! }))
    .filter(({ folder }) => folder === "mod.ts" || folder === "proto" || folder.startsWith("lib"));
  return rows.map(({ folder, purpose, imports }) => ({
    folder,
    purpose,
    imports: [...imports.matchAll(/`([^`]+)`/g)].map(([, name]) => name!),
  }));
}

/** The folder of the table that contains a file: the longest that fits. */
export function folderOf(path: string, layers: readonly Layer[]): string | undefined {
  return layers.map(({ folder }) => folder)
    .filter((folder) => path === folder || path.startsWith(`${folder}/`))
    .toSorted((one, other) => other.length - one.length)[0];
}

/** Every import that the table does not allow, and every file in no folder of it. */
export function brokenArrows(graph: ImportGraph, layers: readonly Layer[]): string[] {
  const broken: string[] = [];
  for (const [path, imports] of graph) {
    const from = layers.find(({ folder }) => folder === folderOf(path, layers));
    if (from === undefined) {
      broken.push(`${path} is in no folder of the table in ARCHITECTURE.md`);
      continue;
    }
    for (const target of imports) {
      const to = folderOf(target, layers);
      if (to === undefined || to === from.folder || isAllowed(from, to)) continue;
      broken.push(`${path} → ${target}: ${from.folder} may not import ${to}`);
    }
  }
  return broken;
}

/** `lib/core` stands for all of its subfolders, except in their own rows. */
function isAllowed({ folder, imports }: Layer, to: string): boolean {
  if (imports.includes(to)) return true;
  return to.startsWith("lib/core/") && !folder.startsWith("lib/core/") && imports.includes("lib/core");
}

/** One cycle of imports, as the files on it, or undefined when there is none. Type imports count. */
export function findCycle(graph: ImportGraph): string[] | undefined {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    const start = trail.indexOf(path);
    if (start >= 0) return [...trail.slice(start), path];
    if (done.has(path)) return undefined;
    for (const target of graph.get(path) ?? []) {
      const cycle = visit(target, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of graph.keys()) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
