/**
 * Runs the tests on Deno, Bun and Node: `deno task test [--node] [--jobs N] [path ...]`, where a path is a folder or
 * a file under `tests`; with `--node`, also those on Node that it is spared. Runs as many files at a time as there
 * are cores, or N; `tools/test_files.ts` names those that run one by one. With `--prepare`, only builds and installs
 * the programs that tests call.
 * Each file runs in a process of its own: a native add-on does not survive its second isolate in one process
 * ("attempt to access Handle hosted by disposed Isolate"), and a crash must not hide the files after it.
 * The last line is the sum over all runtimes.
 */

import { parseArgs } from "node:util";
import {
  buildGo,
  buildGrpcurl,
  missing,
  pythonEnvironment,
  pythonStubs,
} from "../tests/interop/requirements.ts";
import { BUN_VERSION, bunPath, installPackages, NODE_VERSION, nodePath, ROOT, run } from "./commands.ts";
import { readJunit, type Tally } from "./junit.ts";
import { parityProblems, readParityTable } from "./parity.ts";
import { type Job, runPool } from "./pool.ts";
import { Progress } from "./progress.ts";
import { isNamed, needsPrograms, NOT_ON_NODE, ONE_AT_A_TIME, testFiles, WAITING } from "./test_files.ts";

const FILE_TIMEOUT_MS = 600_000;

const PARITY_TABLE = "docs/python-parity.md", PARITY_TESTS = "tests/parity";

/** How long each file took on each runtime, here; not committed. */
const TIMES = `${ROOT}.cache/test_times.json`;

interface Runtime {
  readonly name: "Deno" | "Bun" | "Node";
  readonly version: string;
  readonly command: string;
  readonly env?: Record<string, string>;
  /** Arguments to run `file` and write a JUnit report to `report`. */
  args(file: string, report: string): string[];
}

interface FileResult extends Tally {
  readonly runtime: Runtime;
  readonly file: string;
  readonly seconds: number;
  /** What the tests wrote. */
  readonly output: string;
}

/** Builds and installs what would else count against the time of the first test that needs it; all at once. */
async function preparePrograms(): Promise<void> {
  await Promise.all([
    missing("go") ?? buildGo().then(buildGrpcurl),
    missing("python3") ?? pythonEnvironment().then(pythonStubs),
  ]);
}

async function runFile(runtime: Runtime, file: string): Promise<FileResult> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const started = performance.now();
  try {
    const { ok, reason, output } = await run(runtime.command, runtime.args(file, report), {
      timeoutMs: FILE_TIMEOUT_MS,
      output: "keep",
      ...(runtime.env === undefined ? {} : { env: runtime.env }),
    });
    const tally = readJunit(await Deno.readTextFile(report));
    const seconds = (performance.now() - started) / 1000;
    const count = tally.passed.length + tally.failed.length + tally.skipped.length;
    const failed = ok && count === 0
      ? ["ran no test"]
      : !ok && tally.failed.length === 0
      ? [`the process failed: ${reason}`]
      : tally.failed;
    return { ...tally, failed, runtime, file, seconds, output };
  } finally {
    await Deno.remove(report);
  }
}

/** Runs each file on each of its runtimes. */
async function runFiles(
  planned: readonly { readonly runtime: Runtime; readonly file: string }[],
  slots: number,
  programs: Promise<void>,
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const progress = new Progress(planned.length);
  const jobs = planned.map(({ runtime, file }): Job => ({
    waits: isNamed(file, WAITING),
    lane: isNamed(file, ONE_AT_A_TIME) ? "one at a time" : undefined,
    after: needsPrograms(file) ? programs : undefined,
    async run() {
      const name = `${runtime.name} ${file}`;
      progress.start(name);
      const result = await runFile(runtime, file);
      results.push(result);
      const failure = result.failed.length === 0 ? undefined : result.output;
      progress.end(name, `${describe([result])} in ${result.seconds.toFixed(1)} s`, failure);
    },
  }));
  await runPool(jobs, slots);
  return results;
}

/** `N passed, N failed`, and how many were skipped if any were. */
function describe(results: readonly Tally[]): string {
  const sum = (key: keyof Tally) => results.reduce((total, tally) => total + tally[key].length, 0);
  const skipped = sum("skipped");
  return `${sum("passed")} passed, ${sum("failed")} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

/** What the table of Python's names wants of the tests, if all of its tests have been run. */
async function checkParity(results: readonly FileResult[]): Promise<string[]> {
  if (testFiles([PARITY_TESTS]).some((file) => !files.includes(file))) return [];
  const titles = new Map(
    (["Deno", "Bun"] as const).map((name) => {
      const passed = results.filter(({ runtime }) => runtime.name === name).flatMap(({ passed }) => passed);
      return [name, new Set(passed)];
    }),
  );
  return parityProblems(readParityTable(await Deno.readTextFile(ROOT + PARITY_TABLE)), titles);
}

/** Seconds by runtime and file, as earlier runs took them. */
async function readTimes(): Promise<Record<string, number>> {
  return JSON.parse(await Deno.readTextFile(TIMES).catch(() => "{}"));
}

const { values: flags, positionals: paths } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    node: { type: "boolean", default: false },
    prepare: { type: "boolean", default: false },
    jobs: { type: "string", default: String(navigator.hardwareConcurrency) },
  },
});
if (flags.prepare) {
  await preparePrograms();
  Deno.exit(0);
}
const files = testFiles(paths);
if (files.length === 0) {
  console.error(`No test file under tests matches ${paths.join(" ")}`);
  Deno.exit(1);
}
const started = performance.now();
// Their own tests fail with the same error when they cannot be had.
const programs = files.some(needsPrograms) ? preparePrograms().catch(() => {}) : Promise.resolve();
const [bun, node] = await Promise.all([bunPath(), nodePath()]);
await installPackages(bun);
const runtimes: readonly Runtime[] = [
  {
    name: "Deno",
    version: Deno.version.deno,
    command: Deno.execPath(),
    args: (file, report) => ["test", "--no-check", "--allow-all", `--junit-path=${report}`, file],
  },
  {
    name: "Bun",
    version: BUN_VERSION,
    command: bun,
    args: (file, report) => ["test", "--reporter=junit", `--reporter-outfile=${report}`, `./${file}`],
  },
  {
    name: "Node",
    version: NODE_VERSION,
    command: node,
    // Else every program that a test starts strips the types of all that it loads anew.
    env: { NODE_COMPILE_CACHE: `${ROOT}.cache/node` },
    args: (file, report) => [
      "--test",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      "--test-reporter=junit",
      `--test-reporter-destination=${report}`,
      file,
    ],
  },
];

// The longest first, so that none of them is left over at the end. A file that never ran here counts as one of its
// size: a test takes about as long as what it says.
const times = await readTimes();
const expected = ({ runtime, file }: { runtime: Runtime; file: string }) =>
  times[`${runtime.name} ${file}`] ?? Deno.statSync(ROOT + file).size / 2_000;
const planned = runtimes.flatMap((runtime) => files.map((file) => ({ runtime, file })))
  .filter(({ runtime, file }) => runtime.name !== "Node" || flags.node || !isNamed(file, NOT_ON_NODE))
  .toSorted((a, b) => expected(b) - expected(a));

const results = await runFiles(planned, Number(flags.jobs), programs);
for (const { runtime, file, seconds } of results) times[`${runtime.name} ${file}`] = seconds;
await Deno.mkdir(`${ROOT}.cache`, { recursive: true });
await Deno.writeTextFile(TIMES, JSON.stringify(times));

console.log();
for (const runtime of runtimes) {
  const own = results.filter((result) => result.runtime === runtime);
  if (own.length === 0) continue;
  console.log(`${runtime.name} ${runtime.version}: ${describe(own)}`);
  for (const { file, failed, skipped } of own.toSorted((a, b) => a.file < b.file ? -1 : 1)) {
    for (const name of failed) console.log(`  failed: ${file}: ${name}`);
    for (const name of skipped) console.log(`  skipped: ${file}: ${name}`);
  }
}
const unkept = await checkParity(results);
for (const problem of unkept) console.log(`${PARITY_TABLE}: ${problem}`);
const seconds = ((performance.now() - started) / 1000).toFixed(1);
console.log(`${planned.length} files in ${seconds} s\n`);
console.log(describe(results));
const ran = (name: Runtime["name"]) =>
  results.some(({ runtime, passed }) => runtime.name === name && passed.length > 0);
if (results.some(({ failed }) => failed.length > 0) || unkept.length > 0 || !ran("Deno") || !ran("Bun")) {
  Deno.exit(1);
}
