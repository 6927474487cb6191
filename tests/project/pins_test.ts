import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { test } from "../harness.ts";
import { importsOf, readSource, ROOT, sourceFiles } from "./source.ts";

interface DenoManifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Record<string, string>;
  readonly imports: Record<string, string>;
}

interface PackageManifest extends Omit<DenoManifest, "imports"> {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
  readonly peerDependenciesMeta: Record<string, { readonly optional: boolean }>;
}

/** The registry is the reader's own setting: lock files and all other files leave it open. */
const REGISTRIES = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["npm", "pkg", "github", "com"],
  ["npm", "jsr", "io"],
  ["files", "pythonhosted", "org"],
  ["pypi", "org"],
  ["proxy", "golang", "org"],
  ["sum", "golang", "org"],
].map((labels) => labels.join("."));

const EXACT = /^\d+\.\d+\.\d+$/;

async function manifests(): Promise<{ deno: DenoManifest; npm: PackageManifest }> {
  return {
    deno: JSON.parse(await readSource("deno.json")),
    npm: JSON.parse(await readSource("package.json")),
  };
}

/** Files that are committed, or would be. */
async function committedFiles(): Promise<string[]> {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await promisify(execFile)("git", args, { cwd: ROOT, maxBuffer: 1 << 26 });
  return stdout.split("\0").filter((path) => path !== "");
}

test("deno.json and package.json name the same module", async () => {
  const { deno, npm } = await manifests();
  for (const key of ["name", "version", "license"] as const) assert.equal(npm[key], deno[key], key);
  assert.deepEqual(npm.exports, deno.exports);
});

test("deno.json and package.json pin the same dependencies", async () => {
  const { deno, npm } = await manifests();
  const shared = Object.entries({ ...npm.dependencies, ...npm.devDependencies })
    .filter(([name]) => !name.startsWith("@types/"));
  assert.deepEqual(
    deno.imports,
    Object.fromEntries(shared.map(([name, version]) => [name, `npm:${name}@${version}`])),
  );
});

test("every dependency is pinned to an exact version", async () => {
  const { npm } = await manifests();
  const loose = Object.entries({ ...npm.dependencies, ...npm.devDependencies })
    .filter(([, version]) => !EXACT.test(version));
  assert.deepEqual(loose, []);
  const requirements = (await readSource("tests/interop/python/requirements.txt")).split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(requirements.filter((line) => !/^[\w[\]-]+==[\d.]+$/.test(line)), []);
});

test("the official SDK is an optional peer, in the version that is tested, and nothing in lib imports it", async () => {
  const { npm } = await manifests();
  const sdk = "@viamrobotics/sdk";
  assert.deepEqual(npm.peerDependencies, { [sdk]: npm.devDependencies[sdk] });
  assert.deepEqual(npm.peerDependenciesMeta, { [sdk]: { optional: true } });
  const page = await readSource("docs/components.md");
  const versions = [...page.matchAll(/@viamrobotics\/sdk(?:@|` )(\d\S*\d)/g)].map(([, version]) => version);
  assert.deepEqual([...new Set(versions)], [npm.devDependencies[sdk]]);
  for (const path of await sourceFiles("lib")) {
    assert.ok(!importsOf(await readSource(path)).includes(sdk), path);
  }
});

test("every mention of Deno's and Bun's version is the same", async () => {
  const { npm } = await manifests();
  const mentions = { deno: new Set<string>(), bun: new Set<string>([npm.devDependencies["@types/bun"]!]) };
  for (const path of await committedFiles()) {
    if (/(?:^|\/)(?:deno|bun)\.lock$/.test(path)) continue;
    for (const [, runtime, version] of (await readSource(path)).matchAll(/\b(deno|bun)@(\d+\.\d+\.\d+)/g)) {
      mentions[runtime as "deno" | "bun"].add(version!);
    }
  }
  assert.equal(mentions.deno.size, 1, `deno: ${[...mentions.deno].join(", ")}`);
  assert.equal(mentions.bun.size, 1, `bun: ${[...mentions.bun].join(", ")}`);
});

test("no committed file names a package registry's host", async () => {
  const found: string[] = [];
  for (const path of await committedFiles()) {
    const text = await readSource(path);
    for (const host of REGISTRIES) if (text.includes(host)) found.push(`${path}: ${host}`);
  }
  assert.deepEqual(found, []);
});
