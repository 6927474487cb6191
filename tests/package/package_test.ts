import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildPackage } from "../../tools/package.ts";
import { runtime, test } from "../harness.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const run = promisify(execFile);
const TYPESCRIPT = join(ROOT, "node_modules/typescript/bin/tsc");

/** A project that has installed the tarball as users of this runtime would. */
async function installedProject(folder: string): Promise<string> {
  const tarball = await buildPackage(join(folder, "tarball"));
  const { dependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const project = await mkdtemp(join(folder, "project-"));
  await writeFile(
    join(project, "package.json"),
    JSON.stringify({
      type: "module",
      private: true,
      dependencies: {
        "@connectrpc/connect": dependencies["@connectrpc/connect"],
        "@viam-dial/dial": `file:${tarball}`,
      },
    }),
  );
  const [command, ...args] = runtime === "bun"
    ? [process.execPath, "install"]
    : ["npm", "install", "--no-audit", "--no-fund", "--silent"];
  await run(command!, args, { cwd: project });
  await cp(new URL("program.ts", import.meta.url), join(project, "program.ts"));
  return project;
}

test("the package installs from its tarball, has types, and dials over WebRTC and directly", async () => {
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-package-"));
  try {
    const project = await installedProject(folder);
    const installed = join(project, "node_modules/@viam-dial/dial");
    const names = (await readdir(installed)).filter((name) => !name.startsWith(".")); // Bun leaves a tag
    assert.deepEqual(names.toSorted(), [
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "lib",
      "mod.d.ts",
      "mod.js",
      "package.json",
      "proto",
    ]);

    const settings = [
      "--strict",
      "--exactOptionalPropertyTypes",
      "--module",
      "nodenext",
      "--target",
      "es2024",
    ];
    const libraries = [
      "--lib",
      "esnext,dom,dom.iterable,dom.asynciterable",
      "--types",
      "bun",
      "--typeRoots",
      join(ROOT, "node_modules/@types"),
    ];
    await run("node", [TYPESCRIPT, ...settings, ...libraries, "program.ts"], { cwd: project })
      .catch(({ stdout }) => assert.fail(`the types do not hold:\n${stdout}`));

    const before = runtime === "deno" ? ["run", "--allow-all", "--node-modules-dir=manual"] : [];
    const { stdout, stderr } = await run(process.execPath, [...before, "program.js"], {
      cwd: project,
      env: { ...process.env, NO_COLOR: "1" },
    });
    assert.equal(stderr, "");
    assert.equal(stdout, "webrtc stream\ndirect stream\n");

    const command = join(installed, "lib/cli/mod.js");
    const words = runtime === "deno"
      ? ["run", "--allow-all", "--node-modules-dir=manual", command]
      : [command];
    const version = await run(process.execPath, [...words, "--version"], { cwd: project });
    assert.match(version.stdout, /\d+\.\d+\.\d+/);
  } finally {
    await rm(folder, { recursive: true });
  }
}, { timeoutMs: 300_000 });
