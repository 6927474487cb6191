/**
 * Runs the tests on Deno, Bun and Node: `deno task test [--node] [--jobs N] [path ...]`, where a path is a folder or
 * a file under `tests`; with `--node`, also those on Node that it is spared. Runs N processes at a time, by default two
 * a core, since most of them wait now and then, and beside them as many of those that hardly compute;
 * `tools/test_files.ts` names these, and those that run one by one. With `--prepare`, only builds and installs the
 * programs that tests call.
 * Files share a process, through `tests/group.ts`, but for those that `tools/test_files.ts` names. When such a process
 * ends and no test says why, its files run again, one by one: a crash must not hide the files after it.
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
import {
  inBatches,
  isNamed,
  needsPrograms,
  NOT_ON_NODE,
  ONE_AT_A_TIME,
  secondsOf,
  testFiles,
  WAITING,
} from "./test_files.ts";

const TIMEOUT_MS = 600_000;

const PARITY_TABLE = "docs/python-parity.md", PARITY_TESTS = "tests/parity";

/** The durations of the batches, here; not committed. */
const TIMES = `${ROOT}.cache/test_times.json`;

interface Runtime {
  readonly name: "Deno" | "Bun" | "Node";
  readonly version: string;
  readonly command: string;
  readonly env?: Record<string, string>;
  /** Arguments to run `file` in one process and write a JUnit report to `report`. */
  args(file: string, report: string): string[];
}

/** Test files that share a process. */
interface Batch {
  readonly runtime: Runtime;
  readonly files: readonly string[];
}

interface FileResult extends Tally {
  readonly runtime: Runtime;
  readonly file: string;
  /** The output of the process. */
  readonly output: string;
}

/** Builds and installs what would else count against the time of the first test that needs it; all at once. */
async function preparePrograms(): Promise<void> {
  await Promise.all([
    missing("go") ?? buildGo().then(buildGrpcurl),
    missing("python3") ?? pythonEnvironment().then(pythonStubs),
  ]);
}

/** The file that runs those that `TEST_FILES` names. */
const GROUP = "tests/group.ts";

async function runBatch({ runtime, files }: Batch): Promise<FileResult[]> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const isShared = files.length > 1;
  try {
    const { ok, reason, output } = await run(
      runtime.command,
      runtime.args(isShared ? GROUP : files[0]!, report),
      {
        timeoutMs: TIMEOUT_MS,
        output: "keep",
        env: { ...runtime.env, ...(isShared ? { TEST_FILES: files.join("\n") } : {}) },
      },
    );
    const tally = readJunit(await Deno.readTextFile(report));
    const isUnexplained = !ok && tally.failed.length === 0;
    if (isShared && isUnexplained) return await runAlone({ runtime, files }, reason);
    return files.map((file) => {
      const own = isShared ? ofFile(tally, file) : tally;
      const count = own.passed.length + own.failed.length + own.skipped.length;
      const failed = isUnexplained
        ? [`the process failed: ${reason}`]
        : count === 0
        ? ["ran no test"]
        : own.failed;
      return { ...own, failed, runtime, file, output };
    });
  } finally {
    await Deno.remove(report);
  }
}

/** Runs the files of a batch that failed for `reason` one by one: that tells which of them it was. */
async function runAlone({ runtime, files }: Batch, reason: string): Promise<FileResult[]> {
  const results: FileResult[] = [];
  for (const file of files) results.push(...await runBatch({ runtime, files: [file] }));
  if (results.some(({ failed }) => failed.length > 0)) return results;
  const failure = `the process failed: ${reason}; alone, each of its files passes: ${files.join(", ")}`;
  return results.map((result, index) => index === 0 ? { ...result, failed: [failure] } : result);
}

/** Finds the part of one file in the report of a batch: `tests/group.ts` puts its name before the titles of its tests. */
function ofFile(tally: Tally, file: string): Tally {
  const prefix = `${file}: `;
  const own = (titles: readonly string[]) =>
    titles.filter((title) => title.startsWith(prefix)).map((title) => title.slice(prefix.length));
  return { passed: own(tally.passed), failed: own(tally.failed), skipped: own(tally.skipped) };
}

function nameOf({ runtime, files: [first, ...others] }: Batch): string {
  return `${runtime.name} ${first}${others.length === 0 ? "" : ` and ${others.length} more`}`;
}

/** Runs each batch, and returns what became of each file; keeps how long it took in `times`. */
async function runBatches(
  batches: readonly Batch[],
  slots: number,
  programs: Promise<void>,
  times: Record<string, number>,
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const progress = new Progress(batches.reduce((sum, { files }) => sum + files.length, 0));
  const jobs = batches.map((batch): Job => ({
    waits: batch.files.some((file) => isNamed(file, WAITING)),
    lane: batch.files.some((file) => isNamed(file, ONE_AT_A_TIME)) ? "one at a time" : undefined,
    after: batch.files.some(needsPrograms) ? programs : undefined,
    async run() {
      const name = nameOf(batch), started = performance.now();
      progress.start(name);
      const own = await runBatch(batch);
      const seconds = (performance.now() - started) / 1000;
      times[name] = seconds;
      results.push(...own);
      const outputs = own.filter(({ failed }) => failed.length > 0).map(({ output }) => output);
      const failure = outputs.length === 0 ? undefined : [...new Set(outputs)].join("\n");
      progress.end(name, own.length, `${describe(own)} in ${seconds.toFixed(1)} s`, failure);
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

/** Holds the tests against the table of Python's names, if all of its tests have been run. */
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

/** Seconds by the name of a batch, as earlier runs took them. */
async function readTimes(): Promise<Record<string, number>> {
  return JSON.parse(await Deno.readTextFile(TIMES).catch(() => "{}"));
}

const { values: flags, positionals: paths } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    node: { type: "boolean", default: false },
    prepare: { type: "boolean", default: false },
    jobs: { type: "string", default: String(2 * navigator.hardwareConcurrency) },
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
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      "--test-reporter=junit",
      `--test-reporter-destination=${report}`,
      file,
    ],
  },
];

const batches = runtimes.flatMap((runtime) => {
  const own = files.filter((file) => runtime.name !== "Node" || flags.node || !isNamed(file, NOT_ON_NODE));
  return inBatches(own).map((files): Batch => ({ runtime, files }));
});
// The longest first, so that none of them is left over at the end.
const times = await readTimes();
const expected = (batch: Batch) => times[nameOf(batch)] ?? secondsOf(batch.files);
batches.sort((one, other) => expected(other) - expected(one));

const results = await runBatches(batches, Number(flags.jobs), programs, times);
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
console.log(`${results.length} files in ${seconds} s\n`);
console.log(describe(results));
const ran = (name: Runtime["name"]) =>
  results.some(({ runtime, passed }) => runtime.name === name && passed.length > 0);
if (results.some(({ failed }) => failed.length > 0) || unkept.length > 0 || !ran("Deno") || !ran("Bun")) {
  Deno.exit(1);
}
