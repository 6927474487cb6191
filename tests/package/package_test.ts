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
  const { dependencies, peerDependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const project = await mkdtemp(join(folder, "project-"));
  await writeFile(
    join(project, "package.json"),
    JSON.stringify({
      type: "module",
      private: true,
      dependencies: {
        "@connectrpc/connect": dependencies["@connectrpc/connect"],
        "@viam-dial/dial": `file:${tarball}`,
        ...peerDependencies,
      },
    }),
  );
  const [command, ...args] = runtime === "bun"
    ? [process.execPath, "install"]
    : ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefer-offline"];
  await run(command!, args, { cwd: project });
  for (const program of ["program.ts", "components.ts"]) {
    await cp(new URL(program, import.meta.url), join(project, program));
  }
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

    const settings = ["--strict", "--exactOptionalPropertyTypes", "--target", "es2024"];
    const libraries = [
      "--lib",
      "esnext,dom,dom.iterable,dom.asynciterable",
      "--types",
      "bun",
      "--typeRoots",
      join(ROOT, "node_modules/@types"),
    ];
    const before = runtime === "deno" ? ["run", "--allow-all", "--node-modules-dir=manual"] : [];
    const programs = [
      { name: "program", modules: ["--module", "nodenext"], output: "webrtc stream\ndirect stream\n" },
      {
        name: "components",
        // The types of the official SDK are for bundlers.
        modules: ["--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck"],
        output: "thermometer wheel\n",
      },
    ];
    for (const { name, modules, output } of programs) {
      await run("node", [TYPESCRIPT, ...settings, ...modules, ...libraries, `${name}.ts`], { cwd: project })
        .catch(({ stdout }) => assert.fail(`the types do not hold:\n${stdout}`));
      const { stdout, stderr } = await run(process.execPath, [...before, `${name}.js`], {
        cwd: project,
        env: { ...process.env, NO_COLOR: "1" },
      });
      assert.equal(stderr, "");
      assert.equal(stdout, output);
    }

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
