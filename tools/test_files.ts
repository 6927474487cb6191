/** The test files: which there are, and how each runs. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { importsOf, resolveImport } from "../tests/project/source.ts";
import { ROOT } from "./commands.ts";

/** Folders and files, each with a reason. */
type Reasons = Readonly<Record<string, string>>;

/** Left out on Node, unless `--node` wants everything. */
export const NOT_ON_NODE: Reasons = {
  "tests/bench": "what a call costs is recorded for Deno and Bun",
  "tests/calls/grpc_web_fuzz_test.ts": "random input says nothing new of another runtime",
  "tests/calls/load_test.ts": "its budgets of memory are those of Deno and Bun",
  "tests/calls/stalled_reader_test.ts": "its budgets of memory are those of Deno and Bun",
  "tests/cli/doctor_test.ts": "it is of networks, and looks at no runtime but Deno",
  "tests/core/fuzz_test.ts": "random input says nothing new of another runtime",
  "tests/dial/time_test.ts": "it waits out the library's own limits, which are the same timers everywhere",
  "tests/project": "it reads the checkout, whichever runtime does",
};

/** Hardly compute, and so run beside those that do. */
export const WAITING: Reasons = {
  "tests/calls/cancellation_test.ts": "deadlines pass",
  "tests/calls/ended_calls_test.ts": "deadlines pass, and readers are slow",
  "tests/calls/never_hang_test.ts": "a dead machine is noticed within 10 s",
  "tests/calls/sdk_faults_test.ts": "faults are outlasted",
  "tests/calls/silence_test.ts": "connections are silent",
  "tests/calls/vanished_caller_test.ts": "a dead caller is given up after 8 s",
  "tests/cli/doctor_test.ts": "steps of the doctor time out",
  "tests/dial/authentication_test.ts": "tokens expire",
  "tests/dial/bad_input_test.ts": "a signaling server gives an offer up after 10 s",
  "tests/dial/goaway_test.ts": "idle connections are sent away",
  "tests/dial/reconnect_test.ts": "a dead machine is noticed within 10 s",
  "tests/dial/time_test.ts": "limits of time are waited out",
  "tests/direct/http2_carrier_test.ts": "a silent server holds calls for 20 s",
  "tests/parity/options_test.ts": "a signaling server gives an offer up after 10 s",
  "tests/process/exit_test.ts": "programs end by themselves",
  "tests/session/client_test.ts": "sessions expire",
  "tests/session/vanish_test.ts": "sessions expire after 2 s",
};

/** Run one at a time, beside the others. */
export const ONE_AT_A_TIME: Reasons = {
  "tests/cli/doctor_test.ts": "it makes network namespaces",
};

/** Take a process of their own. */
export const ALONE: Reasons = {
  "tests/bench/counts_test.ts": "it replaces what it counts",
  "tests/calls/load_test.ts": "it replaces Map and Set",
  "tests/calls/stalled_reader_test.ts": "it measures the memory of its process",
  "tests/channel/collected_test.ts": "it waits for the garbage collector",
};

/**
 * The durations of files that take long, in seconds of two idle cores. They run alone, the longest first, so that none
 * is left over at the end.
 */
const SECONDS: Readonly<Record<string, number>> = {
  "tests/calls/cancellation_test.ts": 6,
  "tests/calls/checklist_test.ts": 4,
  "tests/calls/ended_calls_test.ts": 6,
  "tests/calls/grpc_web_fuzz_test.ts": 5,
  "tests/calls/hostile_machine_test.ts": 4,
  "tests/calls/load_test.ts": 14,
  "tests/calls/never_hang_test.ts": 15,
  "tests/calls/runs_once_test.ts": 8,
  "tests/calls/sdk_faults_test.ts": 25,
  "tests/calls/silence_test.ts": 19,
  "tests/calls/sizes_test.ts": 7,
  "tests/calls/stalled_reader_test.ts": 10,
  "tests/calls/vanished_caller_test.ts": 20,
  "tests/channel/collected_test.ts": 3,
  "tests/cli/command_test.ts": 15,
  "tests/cli/doctor_test.ts": 30,
  "tests/cli/proxy_test.ts": 30,
  "tests/core/fuzz_test.ts": 3,
  "tests/dial/authentication_test.ts": 18,
  "tests/dial/bad_input_test.ts": 15,
  "tests/dial/downgrade_test.ts": 8,
  "tests/dial/goaway_test.ts": 13,
  "tests/dial/proxy_test.ts": 10,
  "tests/dial/reconnect_test.ts": 35,
  "tests/dial/time_test.ts": 20,
  "tests/dial/tls_test.ts": 5,
  "tests/direct/http2_carrier_test.ts": 21,
  "tests/examples/examples_test.ts": 8,
  "tests/interop/command_line_test.ts": 1,
  "tests/interop/go_test.ts": 25,
  "tests/interop/proxy_test.ts": 8,
  "tests/package/package_test.ts": 10,
  "tests/parity/options_test.ts": 21,
  "tests/process/exit_test.ts": 20,
  "tests/secrets/secrets_test.ts": 9,
  "tests/session/client_test.ts": 17,
  "tests/session/vanish_test.ts": 27,
  "tests/transport/embedded_test.ts": 15,
};

/** Most files that share a process. */
const BATCH = 16;

/** Programs that tests need are built by this module. */
const REQUIREMENTS = "tests/interop/requirements.ts";

/** Every test file, or those in or below `paths`. */
export function testFiles(paths: readonly string[]): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of readdirSync(ROOT + folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (path.endsWith("_test.ts")) found.push(path);
    }
  };
  walk("tests");
  const wanted = paths.map((path) => path.replace(/^\.\//, "").replace(/\/$/, ""));
  return (wanted.length === 0 ? found : found.filter((file) => isWithin(file, wanted))).toSorted();
}

/** Divides the files among processes: some alone, the others in batches, those apart that need programs. */
export function inBatches(files: readonly string[]): string[][] {
  const isAlone = (file: string) => [ALONE, WAITING, ONE_AT_A_TIME, SECONDS].some((table) => file in table);
  const batches = files.filter(isAlone).map((file) => [file]);
  const shared = Map.groupBy(files.filter((file) => !isAlone(file)), needsPrograms);
  for (const own of shared.values()) {
    for (let start = 0; start < own.length; start += BATCH) batches.push(own.slice(start, start + BATCH));
  }
  return batches;
}

/** The durations of files that never ran: about a second each. */
export function secondsOf(files: readonly string[]): number {
  return files.reduce((sum, file) => sum + (SECONDS[file] ?? 1), 0);
}

/** True if a table names the file, or a folder that it is in. */
export function isNamed(file: string, table: Reasons): boolean {
  return isWithin(file, Object.keys(table));
}

function isWithin(file: string, paths: readonly string[]): boolean {
  return paths.some((path) => file === path || file.startsWith(`${path}/`));
}

/** True if the file runs programs that are built or installed first. */
export function needsPrograms(file: string): boolean {
  const seen = new Set<string>();
  const reaches = (path: string): boolean => {
    if (path === REQUIREMENTS) return true;
    // A test of imports has some in its text that lead nowhere.
    if (!path.startsWith("tests/") || seen.has(path) || !existsSync(ROOT + path)) return false;
    seen.add(path);
    const imports = importsOf(readFileSync(ROOT + path, "utf8"));
    return imports.some((specifier) => reaches(resolveImport(path, specifier)));
  };
  return reaches(file);
}
