/**
 * Generates TypeScript from every folder of .proto files: `proto`, and each `proto` under `examples` and `tests`. The
 * code goes to `gen` inside the folder. With `--check`, it writes nothing and fails if the code is not up to date.
 */

import { ROOT } from "./commands.ts";
import { generate } from "./generator.ts";

type Tree = Map<string, string>;

/** Folders named `proto` that hold .proto files; not those inside a folder `gen`. */
function protoFolders(): string[] {
  const found: string[] = ["proto"];
  const walk = (folder: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(ROOT + folder)) {
      if (!isDirectory || name === "gen") continue;
      if (name === "proto") found.push(`${folder}/${name}`);
      else walk(`${folder}/${name}`);
    }
  };
  walk("examples");
  walk("tests");
  return found;
}

function readTree(folder: string): Tree {
  const tree: Tree = new Map();
  const walk = (path: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(path)) {
      if (isDirectory) walk(`${path}/${name}`);
      else tree.set(`${path}/${name}`.slice(folder.length + 1), Deno.readTextFileSync(`${path}/${name}`));
    }
  };
  try {
    walk(folder);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return tree;
}

function differences(old: Tree, fresh: Tree): string[] {
  const paths = new Set([...old.keys(), ...fresh.keys()]);
  return [...paths].filter((path) => old.get(path) !== fresh.get(path)).toSorted();
}

const check = Deno.args.includes("--check");
const temporary = await Deno.makeTempDir();
const stale: string[] = [];
try {
  for (const folder of protoFolders()) {
    const target = `${temporary}/${folder}`;
    await generate(folder, target);
    const fresh = readTree(`${target}/gen`);
    const changed = differences(readTree(`${ROOT}${folder}/gen`), fresh);
    stale.push(...changed.map((path) => `${folder}/gen/${path}`));
    if (check || changed.length === 0) continue;
    await Deno.remove(`${ROOT}${folder}/gen`, { recursive: true }).catch(() => {});
    for (const [path, text] of fresh) {
      const file = `${ROOT}${folder}/gen/${path}`;
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(file, text);
    }
  }
} finally {
  await Deno.remove(temporary, { recursive: true });
}
for (const path of stale) console.log(`${check ? "not up to date" : "written"}: ${path}`);
if (check && stale.length > 0) {
  console.error("Generated code is not up to date: run `deno task gen`");
  Deno.exit(1);
}
