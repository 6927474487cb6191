/**
 * Runs the Connect conformance suite on every lane: `deno task conformance [lane ...]`. A full run writes the report,
 * `tests/conformance/README.md`, and the table in `README.md`.
 *
 * - `--check` writes nothing, and fails when the report is not what is committed;
 * - `--prepare` only installs the suite and generates the code of its messages.
 */

import { BUN_VERSION, bunPath, installPackages, output, ROOT } from "./commands.ts";
import { conformanceReport, conformanceTable, type LaneResult } from "./conformance_report.ts";
import { generate, GENERATOR } from "./generator.ts";

const MODULE = "connectrpc.com/conformance";
const VERSION = "v1.0.7";

/** The folder of what is installed and generated; not committed. */
const CACHE = `${ROOT}.cache/conformance`;
const RUNNER = `${CACHE}/bin/connectconformance`;
const TESTS = "tests/conformance";

/** Lanes at a time. */
const PARALLEL = 2;
/** Calls that the suite's client makes at a time. */
const CALLS = 4;
const LANE_TIMEOUT_MS = 300_000;

interface Lane {
  readonly name: string;
  readonly protocol: string;
  readonly mode: "client" | "server" | "both";
  /** The file in `tests/conformance/lanes` with its features. */
  readonly features: string;
  /** Suites for one side that also hold over a data channel. */
  readonly alsoSuites?: readonly string[];
}

const LANES: readonly Lane[] = [
  {
    name: "fetch",
    protocol: "gRPC-Web, HTTP/1.1 and HTTP/2",
    mode: "client",
    features: "fetch.yaml",
  },
  { name: "http2", protocol: "gRPC, HTTP/2", mode: "client", features: "http2.yaml" },
  {
    name: "webrtc",
    protocol: "gRPC, data channel",
    mode: "both",
    features: "webrtc.yaml",
    alsoSuites: ["client_cancellation.yaml", "server_empty.yaml", "server_message_size.yaml"],
  },
  {
    name: "machine",
    protocol: "gRPC and gRPC-Web, HTTP/1.1 and HTTP/2",
    mode: "server",
    features: "machine.yaml",
  },
];

interface Runtime {
  readonly name: "Deno" | "Bun";
  /** The command that runs a program on each runtime. */
  readonly command: readonly string[];
}

/** The suite's folder among Go's modules; downloaded when needed. */
async function moduleFolder(): Promise<string> {
  const { Dir } = JSON.parse(await output("go", ["mod", "download", "-json", `${MODULE}@${VERSION}`]));
  return Dir;
}

/** Installs the runner, generates the code of the suite's messages, and derives suites of our own. */
async function prepare(): Promise<void> {
  const stamp = `${MODULE}@${VERSION} ${GENERATOR}\n`;
  const written = await Deno.readTextFile(`${CACHE}/version`).catch(() => "");
  if (written === stamp) return;
  try {
    await output("go", ["version"]);
  } catch {
    console.error("The conformance suite needs `go` 1.26 or newer on the PATH");
    Deno.exit(1);
  }
  await Deno.remove(CACHE, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${CACHE}/suites`, { recursive: true });
  const install = new Deno.Command("go", {
    args: ["install", `${MODULE}/cmd/connectconformance@${VERSION}`],
    env: { GOBIN: `${CACHE}/bin` },
  });
  if (!(await install.spawn().status).success) throw new Error("cannot install the conformance runner");
  const folder = await moduleFolder();
  await generate(`${folder}/proto`, CACHE);
  const suites = `${folder}/internal/app/connectconformance/testsuites/data`;
  for (const { name } of Deno.readDirSync(suites)) {
    // The runner leaves out a suite for one side when both are under test; without this line it keeps it.
    const text = await Deno.readTextFile(`${suites}/${name}`);
    const mode = /^mode: TEST_MODE_\w+\n/m;
    await Deno.writeTextFile(
      `${CACHE}/suites/${mode.test(text) ? "" : "any_"}${name}`,
      text.replace(mode, ""),
    );
  }
  await Deno.writeTextFile(`${CACHE}/version`, stamp);
}

function runnerArguments(lane: Lane, runtime: Runtime): string[] {
  const args = ["--mode", lane.mode, "--conf", `${TESTS}/lanes/${lane.features}`];
  const known = `${TESTS}/known_failing/${lane.name}_${runtime.name.toLowerCase()}.txt`;
  // The client decides how many calls it has in flight.
  if (lane.mode === "server") args.push("--parallel", String(CALLS));
  if (exists(ROOT + known)) args.push("--known-failing", `@${known}`);
  if (lane.alsoSuites !== undefined) {
    const common = [...Deno.readDirSync(`${CACHE}/suites`)].map(({ name }) => name).filter((name) =>
      name.startsWith("any_")
    );
    for (const name of [...common.toSorted(), ...lane.alsoSuites]) {
      args.push("--test-file", `${CACHE}/suites/${name}`);
    }
  }
  const client = [...runtime.command, `${TESTS}/client.ts`, lane.name];
  const server = [...runtime.command, `${TESTS}/server.ts`];
  const commands = { client, server, both: [...client, "----", ...server] };
  return [...args, "--", ...commands[lane.mode]];
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function runLane(lane: Lane, runtime: Runtime): Promise<LaneResult> {
  const started = performance.now();
  const expired = AbortSignal.timeout(LANE_TIMEOUT_MS);
  const child = await new Deno.Command(RUNNER, {
    args: runnerArguments(lane, runtime),
    cwd: ROOT,
    stdin: "null",
    signal: expired,
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(child.stdout) + decoder.decode(child.stderr);
  const count = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const result: LaneResult = {
    lane: lane.name,
    protocol: lane.protocol,
    runtime: runtime.name,
    cases: count(/^Total cases: (\d+)$/m),
    passed: count(/^(\d+) passed, \d+ failed$/m),
    failed: count(/^\d+ passed, (\d+) failed$/m) + count(/^Another (\d+) could not be run/m),
    knownFailing: count(/^\(Another (\d+) failed as expected/m),
  };
  const ok = child.success && result.cases > 0 && result.failed === 0;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const outcome = ok ? `${result.passed} passed` : expired.aborted ? "not done in time" : "FAILED";
  console.log(`${lane.name} on ${runtime.name}: ${outcome} in ${seconds} s`);
  if (ok) return result;
  console.error(text.trim().split("\n").slice(-200).join("\n"));
  return { ...result, failed: Math.max(1, result.failed) };
}

/** Runs every job, a few at a time; the results are in the order of the jobs. */
async function runAll<T>(jobs: readonly (() => Promise<T>)[], parallel: number): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await jobs[index]!();
    }
  }));
  return results;
}

/** Formats as `deno fmt` does, so that the result passes it. */
async function formatted(markdown: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(markdown));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("cannot format the report");
  return new TextDecoder().decode(stdout);
}

/** The part of README.md that this program writes. */
const SECTION = /(<!-- conformance -->\n)[\s\S]*?(\n<!-- end of conformance -->)/;

async function documents(results: readonly LaneResult[]): Promise<Map<string, string>> {
  const about = { version: VERSION, deno: Deno.version.deno, bun: BUN_VERSION, results };
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  if (!SECTION.test(readme)) throw new Error("README.md has no conformance section");
  return new Map([
    [`${TESTS}/README.md`, await formatted(conformanceReport(about))],
    [
      "README.md",
      await formatted(
        readme.replace(SECTION, (_, begin, end) => `${begin}\n${conformanceTable(about)}${end}`),
      ),
    ],
  ]);
}

const names = Deno.args.filter((argument) => !argument.startsWith("--"));
const check = Deno.args.includes("--check");
const unknown = names.filter((name) => !LANES.some((lane) => lane.name === name));
if (unknown.length > 0) {
  console.error(`No lane ${unknown.join(", ")}: there are ${LANES.map(({ name }) => name).join(", ")}`);
  Deno.exit(1);
}
await prepare();
if (Deno.args.includes("--prepare")) Deno.exit(0);

const bun = await bunPath();
await installPackages(bun);
const runtimes: readonly Runtime[] = [
  { name: "Deno", command: [Deno.execPath(), "run", "--no-check", "--allow-all"] },
  { name: "Bun", command: [bun] },
];
const lanes = LANES.filter(({ name }) => names.length === 0 || names.includes(name));
const results = await runAll(
  lanes.flatMap((lane) => runtimes.map((runtime) => () => runLane(lane, runtime))),
  PARALLEL,
);
console.log(
  `\n${conformanceTable({ version: VERSION, deno: Deno.version.deno, bun: BUN_VERSION, results })}`,
);
let ok = results.every(({ failed }) => failed === 0);
if (ok && names.length === 0) {
  for (const [path, text] of await documents(results)) {
    const old = await Deno.readTextFile(ROOT + path).catch(() => "");
    if (old === text) continue;
    if (check) {
      ok = false;
      console.error(`${path} is not what this run says: run \`deno task conformance\` and commit it`);
    } else {
      await Deno.writeTextFile(ROOT + path, text);
      console.log(`written: ${path}`);
    }
  }
}
const sum = (key: "passed" | "failed" | "knownFailing") =>
  results.reduce((total, result) => total + result[key], 0);
console.log(
  `conformance: ${sum("passed")} cases passed, ${sum("failed")} failed, ${
    sum("knownFailing")
  } failed as is known`,
);
if (!ok) Deno.exit(1);
