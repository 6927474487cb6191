/**
 * Builds the package for npm's clients: JavaScript with types, compiled file by file, so that lazy imports stay lazy.
 * `deno task package [FOLDER]` packs it into FOLDER, `.cache/package` by default; the last line is the tarball's path.
 * Runs on every runtime.
 */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import manifest from "../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Loaded by name, so that no import leads to it. */
const WORKERS = ["lib/webrtc/turn_bridge_worker.ts"];

/** Packages without types, for which TypeScript needs a declaration. */
const UNTYPED = ["multicast-dns"];

const DOCUMENTS = ["README.md", "CHANGELOG.md", "LICENSE"];

const run = promisify(execFile);

/** The name of a source file in the package. */
function built(source: string, extension: "js" | "d.ts"): string {
  return source.replace(/\.ts$/, `.${extension}`);
}

/** The manifest of the package, with only what an installation needs. */
function packageManifest(): object {
  const { name, version, type, license, bin, dependencies, peerDependencies, peerDependenciesMeta } =
    manifest;
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([path, source]) => [
      path,
      { types: built(source, "d.ts"), default: built(source, "js") },
    ]),
  );
  return {
    name,
    version,
    description: "Dials Viam machines from Deno, Bun and Node: a Connect transport over WebRTC or HTTP",
    keywords: ["viam", "robot", "webrtc", "grpc", "connect", "deno", "bun"],
    type,
    license,
    exports,
    bin: Object.fromEntries(Object.entries(bin).map(([command, source]) => [command, built(source, "js")])),
    engines: { node: ">=24", bun: ">=1.4" },
    sideEffects: false,
    dependencies,
    peerDependencies,
    peerDependenciesMeta,
  };
}

/** Compiles the sources into a folder, with the versions and the settings of the checkout. */
async function compile(target: string): Promise<void> {
  const configuration = join(target, "tsconfig.json");
  const { compilerOptions } = JSON.parse(await readFile(join(ROOT, "deno.json"), "utf8"));
  const untyped = join(target, "untyped.d.ts");
  await writeFile(untyped, UNTYPED.map((name) => `declare module "${name}";\n`).join(""));
  const files = [
    untyped,
    ...[...Object.values(manifest.exports), ...WORKERS].map((path) => join(ROOT, path)),
  ];
  await writeFile(
    configuration,
    JSON.stringify({
      compilerOptions: {
        ...compilerOptions,
        target: "esnext",
        module: "nodenext",
        lib: ["esnext", "dom", "dom.iterable", "dom.asynciterable"],
        types: ["bun"],
        typeRoots: [join(ROOT, "node_modules/@types")],
        skipLibCheck: true,
        rewriteRelativeImportExtensions: true,
        declaration: true,
        rootDir: ROOT,
        outDir: target,
      },
      files,
    }),
  );
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  try {
    await run("node", [compiler, "-p", configuration], { cwd: ROOT });
  } catch (error) {
    const { stdout = "" } = error as { stdout?: string };
    throw new Error(`the sources do not compile:\n${stdout}`, { cause: error });
  }
  await rm(configuration);
  await rm(untyped);
}

/** Builds the package and packs it into a folder; returns the path of the tarball. */
export async function buildPackage(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const content = await mkdtemp(join(folder, "content-"));
  try {
    await compile(content);
    for (const path of DOCUMENTS) await cp(join(ROOT, path), join(content, path));
    for (const source of Object.values(manifest.bin)) {
      const path = join(content, built(source, "js"));
      const text = await readFile(path, "utf8");
      await writeFile(path, text.replace("#!/usr/bin/env bun", "#!/usr/bin/env node"));
    }
    await writeFile(join(content, "package.json"), `${JSON.stringify(packageManifest(), undefined, 2)}\n`);
    const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: content });
    return join(folder, stdout.trim().split("\n").at(-1)!);
  } finally {
    await rm(content, { recursive: true });
  }
}

if (import.meta.main) {
  // A fresh clone has neither the compiler nor the packages' types.
  const bun = `bun@${manifest.devDependencies["@types/bun"]}`;
  await run("npx", ["-y", bun, "install", "--frozen-lockfile"], { cwd: ROOT });
  const folder = process.argv[2] ?? join(ROOT, ".cache/package");
  console.log(await buildPackage(folder));
}
