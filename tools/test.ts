/**
 * Runs the tests on Deno, Bun and Node: `deno task test [--node] [path ...]`, where a path is a folder or a file under
 * `tests`; with `--node`, also those on Node that it is spared.
 * Each file runs in a process of its own: a native add-on does not survive its second isolate in one process
 * ("attempt to access Handle hosted by disposed Isolate"), and a crash must not hide the files after it.
 * The last line is the sum over all runtimes.
 */

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

const FILE_TIMEOUT_MS = 600_000;

const PARITY_TABLE = "docs/python-parity.md", PARITY_TESTS = "tests/parity";

/** What is left out on Node, unless `--node` wants everything, and why. */
const NOT_ON_NODE: Readonly<Record<string, string>> = {
  "tests/bench": "what a call costs is recorded for Deno and Bun",
  "tests/calls/grpc_web_fuzz_test.ts": "random input says nothing new of another runtime",
  "tests/calls/load_test.ts": "its budgets of memory are those of Deno and Bun",
  "tests/calls/stalled_reader_test.ts": "its budgets of memory are those of Deno and Bun",
  "tests/cli/doctor_test.ts": "it is of networks, and looks at no runtime but Deno",
  "tests/core/fuzz_test.ts": "random input says nothing new of another runtime",
  "tests/dial/time_test.ts": "it waits out the library's own limits, which are the same timers everywhere",
  "tests/project": "it reads the checkout, whichever runtime does",
};

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** Titles of the tests that passed. */
  readonly titles: Set<string>;
}

interface Runtime {
  readonly name: string;
  readonly command: string;
  /** Arguments to run `file` and write a JUnit report to `report`. */
  args(file: string, report: string): string[];
}

function testFiles(paths: readonly string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of Deno.readDirSync(ROOT + folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) walk(path);
      else if (path.endsWith("_test.ts")) found.push(path);
    }
  };
  walk("tests");
  const wanted = paths.map((path) => path.replace(/^\.\//, "").replace(/\/$/, ""));
  return (wanted.length === 0 ? found : found.filter((file) => isWithin(file, wanted))).toSorted();
}

function isWithin(file: string, paths: readonly string[]): boolean {
  return paths.some((path) => file === path || file.startsWith(`${path}/`));
}

/** Does now what would else count against the time of the first test that needs it. */
async function prepareInterop(): Promise<void> {
  try {
    if (missing("go") === undefined) {
      await buildGo();
      await buildGrpcurl();
    }
    if (missing("python3") === undefined) await pythonStubs(await pythonEnvironment());
  } catch (error) {
    console.error(`The interop tests will fail: ${error instanceof Error ? error.message : error}`);
  }
}

async function runFile(runtime: Runtime, file: string): Promise<Tally> {
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { ok, reason } = await run(runtime.command, runtime.args(file, report), {
      timeoutMs: FILE_TIMEOUT_MS,
    });
    const tally = readJunit(await Deno.readTextFile(report));
    const count = tally.passed.length + tally.failed.length + tally.skipped.length;
    if (ok && count === 0) return { ...tally, failed: ["ran no test"] };
    if (!ok && tally.failed.length === 0) return { ...tally, failed: [`the process failed: ${reason}`] };
    return tally;
  } finally {
    await Deno.remove(report);
  }
}

async function runAll(runtime: Runtime, files: readonly string[]): Promise<Counts> {
  const started = performance.now();
  const counts: Counts = { passed: 0, failed: 0, skipped: 0, titles: new Set() };
  const notes: string[] = [];
  for (const file of files) {
    const tally = await runFile(runtime, file);
    counts.passed += tally.passed.length;
    for (const title of tally.passed) counts.titles.add(title);
    counts.failed += tally.failed.length;
    counts.skipped += tally.skipped.length;
    for (const name of tally.failed) notes.push(`  failed: ${file}: ${name}`);
    for (const name of tally.skipped) notes.push(`  skipped: ${file}: ${name}`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  summaries.push(`${runtime.name}: ${describe(counts)} in ${seconds} s`, ...notes);
  return counts;
}

function describe({ passed, failed, skipped }: Omit<Counts, "titles">): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

/** What the table of Python's names wants of the tests, if all of its tests have been run. */
async function checkParity(titles: ReadonlyMap<string, ReadonlySet<string>>): Promise<string[]> {
  if (testFiles([PARITY_TESTS]).some((file) => !files.includes(file))) return [];
  return parityProblems(readParityTable(await Deno.readTextFile(ROOT + PARITY_TABLE)), titles);
}

const summaries: string[] = [];
const paths = Deno.args.filter((argument) => argument !== "--node");
const files = testFiles(paths);
if (files.length === 0) {
  console.error(`No test file under tests matches ${paths.join(" ")}`);
  Deno.exit(1);
}
const bun = await bunPath();
await installPackages(bun);
if (files.some((file) => file.startsWith("tests/interop/"))) await prepareInterop();

const onDeno = await runAll({
  name: `Deno ${Deno.version.deno}`,
  command: Deno.execPath(),
  args: (file, report) => ["test", "--no-check", "--allow-all", `--junit-path=${report}`, file],
}, files);
const onBun = await runAll({
  name: `Bun ${BUN_VERSION}`,
  command: bun,
  args: (file, report) => ["test", "--reporter=junit", `--reporter-outfile=${report}`, `./${file}`],
}, files);
const nodeFiles = Deno.args.includes("--node")
  ? files
  : files.filter((file) => !isWithin(file, Object.keys(NOT_ON_NODE)));
const onNode = nodeFiles.length === 0 ? { passed: 0, failed: 0, skipped: 0 } : await runAll({
  name: `Node ${NODE_VERSION}`,
  command: await nodePath(),
  args: (file, report) => [
    "--test",
    "--test-reporter=junit",
    `--test-reporter-destination=${report}`,
    file,
  ],
}, nodeFiles);
const total = {
  passed: onDeno.passed + onBun.passed + onNode.passed,
  failed: onDeno.failed + onBun.failed + onNode.failed,
  skipped: onDeno.skipped + onBun.skipped + onNode.skipped,
};
const unkept = await checkParity(new Map([["Deno", onDeno.titles], ["Bun", onBun.titles]]));
summaries.push(...unkept.map((problem) => `${PARITY_TABLE}: ${problem}`));
console.log(`\n${summaries.join("\n")}\n`);
console.log(describe(total));
if (total.failed > 0 || unkept.length > 0 || onDeno.passed === 0 || onBun.passed === 0) Deno.exit(1);
