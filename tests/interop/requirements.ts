/** Requirements of the interop tests besides Deno and Bun: Go programs and a Python environment, made on demand. */

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const GO = join(ROOT, "tests/interop/go");
const PYTHON = join(ROOT, "tests/interop/python");

/** A tool that some interop tests need on the `PATH`. */
export type Tool = "go" | "python3";

const PRESENT: Record<Tool, readonly string[]> = {
  go: ["version"],
  python3: ["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))"],
};

const INSTALL: Record<Tool, string> = {
  go: "needs `go` 1.26 or newer",
  python3: "needs `python3` 3.10 or newer with its `venv` module",
};

/**
 * The reason why a test that needs `tool` cannot run here, for `TestOptions.skip`; undefined when it can. Where every interop
 * test has to run, with `CI=true` or `REQUIRE_INTEROP=1`, always undefined: then the test itself fails.
 */
export function missing(tool: Tool): string | undefined {
  if (process.env["CI"] === "true" || process.env["REQUIRE_INTEROP"] === "1") return undefined;
  return spawnSync(tool, PRESENT[tool], { stdio: "ignore" }).status === 0 ? undefined : INSTALL[tool];
}

let programs: Promise<string> | undefined;

/** Leaves out what debuggers need, which takes a third of the time. */
const LINKED_SMALL = "-ldflags=-s -w";

/** Builds the Go programs `machine`, `client` and `link`, and returns the folder that holds them. Looks for them once. */
export function buildGo(): Promise<string> {
  return programs ??= findOrBuildGo();
}

async function findOrBuildGo(): Promise<string> {
  const version = await output("go", ["version"], { cwd: GO });
  const sources = (await readdir(GO, { recursive: true })).filter((path) =>
    /\.go$|^go\.(mod|sum)$/.test(path)
  );
  const key = await fingerprint([version], sources.map((path) => join(GO, path)));
  return await madeOnce(join(GO, "bin", key), async (folder) => {
    await output("go", ["build", LINKED_SMALL, "-o", `${folder}/`, "./cmd/..."], { cwd: GO });
  });
}

/** The version of grpcurl that calls machines through the proxy. */
const GRPCURL = "v1.9.4";

/** Builds grpcurl, and returns its path. */
export async function buildGrpcurl(): Promise<string> {
  const version = await output("go", ["version"], { cwd: GO });
  const key = await fingerprint([version, GRPCURL], []);
  const folder = await madeOnce(join(GO, "bin", `grpcurl-${key}`), async (folder) => {
    await output("go", ["install", LINKED_SMALL, `github.com/fullstorydev/grpcurl/cmd/grpcurl@${GRPCURL}`], {
      env: { ...process.env, GOBIN: folder, GOFLAGS: "-mod=mod" },
    });
  });
  return join(folder, "grpcurl");
}

/** Makes a Python environment with the pinned requirements, and returns the path of its `python`. */
export async function pythonEnvironment(): Promise<string> {
  const requirements = join(PYTHON, "requirements.txt");
  const interpreter = await output("python3", ["-c", "import sys; print(sys.version, sys.base_prefix)"]);
  const key = await fingerprint([interpreter], [requirements]);
  const environment = await madeOnce(join(ROOT, ".venv", key), async (folder) => {
    await output("python3", ["-m", "venv", folder]);
    // What is not imported need not be compiled.
    const flags = ["--quiet", "--no-input", "--no-compile"];
    await output(pythonOf(folder), ["-m", "pip", "install", ...flags, "-r", requirements]);
  });
  return pythonOf(environment);
}

/**
 * Generates the Python stubs of the protocol and of the probe service, and returns the folder that holds them, for
 * `PYTHONPATH`.
 *
 * @param python what `pythonEnvironment` returned
 */
export async function pythonStubs(python: string): Promise<string> {
  const proto = join(ROOT, "proto");
  const sources = ["viam_dial/probe/v1/probe.proto"];
  const plugin = join(PYTHON, "protoc-gen-grpclib_python");
  const key = await fingerprint([python], [plugin, ...sources.map((path) => join(proto, path))]);
  return await madeOnce(join(ROOT, ".cache/python", key), async (folder) => {
    const plugins = [`--plugin=${plugin}`, `--python_out=${folder}`, `--grpclib_python_out=${folder}`];
    const PATH = `${dirname(python)}:${process.env["PATH"]}`;
    await output(python, ["-m", "grpc_tools.protoc", `-I${proto}`, ...plugins, ...sources], {
      env: { ...process.env, PATH },
    });
  });
}

function pythonOf(environment: string): string {
  return join(environment, "bin", "python");
}

/**
 * Makes `folder` unless it is there. Several processes may try at once: each works in a folder of its own, one of
 * them gets to rename it, and what was cut short is never taken for whole.
 */
async function madeOnce(folder: string, make: (folder: string) => Promise<void>): Promise<string> {
  if (existsSync(folder)) return folder;
  await mkdir(dirname(folder), { recursive: true });
  const making = await mkdtemp(`${folder}-making-`);
  try {
    await make(making);
    await rename(making, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  return folder;
}

/** Names what `texts` and the content of `paths` lead to. */
async function fingerprint(texts: readonly string[], paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text}\0`);
  for (const path of paths.toSorted()) hash.update(path.slice(ROOT.length)).update(await readFile(path));
  return hash.digest("hex").slice(0, 16);
}

async function output(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, options)).stdout;
  } catch (cause) {
    const { code, stderr } = cause as { code?: unknown; stderr?: unknown };
    if (code === "ENOENT" && command in INSTALL) {
      throw new Error(`Interop ${INSTALL[command as Tool]}`, { cause });
    }
    throw new Error(`Cannot run ${command} ${args[0]}: ${stderr ?? code}`, { cause });
  }
}
