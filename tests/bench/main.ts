/**
 * Measures our paths, their floors and other clients on Deno and on Bun, against the Go peer in another process, and
 * writes `docs/performance.md` with its chart.
 *
 * `deno task bench [--rounds N] [--only unary,download,…] [--no-report] [--from FILE]… [--section TITLE]`
 *
 * `--from` adds the samples of an earlier run, which is in `tests/bench/results`: the groups can be measured one by one.
 *
 * `--section "At a distance"` writes this section of the page alone, and leaves the others as they are.
 *
 * PEER_BENCH names a command that measures one more client. It finds the address in BENCH_ADDRESS and the number of
 * rounds in BENCH_ROUNDS; its last line is `{ "subject": { "unary 1.p50": [one number a round], … } }`.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { arch, cpus, loadavg, platform, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { startGoMachine } from "../interop/go_machine.ts";
import { chart } from "./chart.ts";
import { type Bench, groups } from "./groups.ts";
import { report, type Run, withSection } from "./report.ts";
import type { Samples } from "./samples.ts";
import { prepareRuntimes, type Runtimes } from "./worker_process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: Object.keys(groups).join(",") },
    "no-report": { type: "boolean", default: false },
    from: { type: "string", multiple: true, default: [] },
    section: { type: "string" },
  },
});
const chosen = values.only.split(",");
const unknown = chosen.filter((name) => !(name in groups));
if (unknown.length > 0) throw new Error(`no such group: ${unknown.join(", ")}`);

const load = loadavg()[0]!;
const written = new Date().toISOString();
// A run that is stopped keeps what it has measured.
process.once("SIGTERM", () => void save().finally(() => process.exit(1)));
const samples: Samples = {};
const runtimes = await prepareRuntimes();
for (const file of values.from) {
  const earlier = JSON.parse(await readFile(file, "utf8")) as Run;
  for (const [subject, figures] of Object.entries(earlier.samples)) {
    samples[subject] = { ...samples[subject], ...figures };
  }
}
const folder = await mkdtemp(join(tmpdir(), "viam-dial-bench-"));
try {
  const key = { apiKey: "a-key", apiKeyId: "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c" };
  await using clear = await startGoMachine();
  await using secure = await startGoMachine("-tls", "-ca-out", join(folder, "ca.pem"));
  await using keyed = await startGoMachine("-api-key", key.apiKey, "-api-key-id", key.apiKeyId);
  await using embedded = await startEmbedded(runtimes);
  const bench: Bench = {
    runtimes,
    rounds: Number(values.rounds),
    samples,
    clear: { address: clear.address },
    secure: { address: secure.address, ca: await readFile(join(folder, "ca.pem"), "utf8") },
    keyed: { address: keyed.address, ...key },
    embedded: { address: embedded.address },
    log: (text) => console.error(text),
  };
  for (const name of chosen) {
    const start = performance.now();
    await groups[name]!(bench);
    console.log(`${name}: ${((performance.now() - start) / 1_000).toFixed(0)} s`);
  }
  const peer = process.env["PEER_BENCH"];
  if (peer !== undefined && peer !== "") {
    const env = { ...process.env, BENCH_ADDRESS: clear.address, BENCH_ROUNDS: values.rounds };
    const { stdout } = await promisify(execFile)("sh", ["-c", peer], { env, maxBuffer: 1 << 26 });
    const figures = JSON.parse(stdout.trim().split("\n").at(-1)!) as Samples;
    for (const [subject, own] of Object.entries(figures)) samples[`peer/${subject}`] = own;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

const run = await save();
const page = report(run);
console.log(page.slice(page.indexOf("## Targets"), page.indexOf("## Unary")));
if (!values["no-report"]) {
  await mkdir(join(ROOT, "docs"), { recursive: true });
  const file = join(ROOT, "docs/performance.md");
  if (values.section === undefined) {
    await writeFile(file, page);
    await writeFile(join(ROOT, "docs/performance.svg"), chart(samples));
  } else await writeFile(file, withSection(await readFile(file, "utf8"), page, values.section));
  const pages = ["docs/performance.md", "docs/performance.svg"];
  await promisify(execFile)(process.execPath, ["fmt", "--quiet", ...pages], { cwd: ROOT });
}
process.exit(0); // a killed child's pipes may still be open

async function save(): Promise<Run> {
  const run: Run = {
    written,
    rounds: Number(values.rounds),
    cores: cpus().length,
    platform: `${platform()}, ${arch()}`,
    load,
    versions: await versions(),
    download: await downloads(),
    samples,
  };
  const results = new URL("results/", import.meta.url);
  await mkdir(results, { recursive: true });
  await writeFile(new URL(`${run.written.replaceAll(":", "-")}.json`, results), JSON.stringify(run, null, 2));
  return run;
}

async function startEmbedded({ deno, env }: Runtimes): Promise<{ address: string } & AsyncDisposable> {
  const program = fileURLToPath(new URL("machine.ts", import.meta.url));
  const child = spawn(deno[0]!, [...deno.slice(1), program], {
    cwd: ROOT,
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [address] = await Promise.race([once(createInterface({ input: child.stdout }), "line"), exited]);
  if (typeof address !== "string") throw new Error("the embedded machine did not start");
  return {
    address,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}

async function versions(): Promise<Record<string, string>> {
  const requirements = await readFile(join(ROOT, "tests/interop/python/requirements.txt"), "utf8");
  const { stdout: node } = await promisify(execFile)("node", ["--version"]);
  const { stdout: go } = await promisify(execFile)("go", ["env", "GOVERSION"]);
  return {
    Deno: Deno.version.deno,
    Bun: manifest.devDependencies["@types/bun"],
    Node: node.trim().slice(1),
    Go: go.trim().slice(2),
    "connect-node": manifest.dependencies["@connectrpc/connect-node"],
    "grpc-js": manifest.devDependencies["@grpc/grpc-js"],
    "node-datachannel": manifest.dependencies["node-datachannel"],
    "viam-sdk (Python)": /viam-sdk==(.+)/.exec(requirements)?.[1] ?? "?",
  };
}

/** Size of an installation, in bytes. */
async function downloads(): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  let own = 0;
  for (const path of ["mod.ts", "lib", "proto/gen"]) own += await sizeOf(join(ROOT, path));
  sizes["this module"] = own;
  for (const name of Object.keys(manifest.dependencies)) {
    sizes[name] = await sizeOf(join(ROOT, "node_modules", name));
  }
  return sizes;
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
  return sizes.reduce((sum, size) => sum + size, 0);
}
