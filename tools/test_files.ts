/** The test files: which there are, and how each runs. */

import { existsSync } from "node:fs";
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
  "tests/calls/vanished_caller_test.ts": "a dead caller is given up after 8 s",
  "tests/cli/doctor_test.ts": "steps of the doctor time out",
  "tests/dial/authentication_test.ts": "tokens expire",
  "tests/dial/bad_input_test.ts": "a signaling server gives an offer up after 10 s",
  "tests/dial/goaway_test.ts": "idle connections are sent away",
  "tests/dial/reconnect_test.ts": "a dead machine is noticed within 10 s",
  "tests/parity/options_test.ts": "a signaling server gives an offer up after 10 s",
  "tests/session/vanish_test.ts": "sessions expire after 2 s",
};

/** Run one at a time, beside the others. */
export const ONE_AT_A_TIME: Reasons = {
  "tests/cli/doctor_test.ts": "it makes network namespaces",
};

/** Programs that tests need are built by this module. */
const REQUIREMENTS = "tests/interop/requirements.ts";

/** Every test file, or those in or below `paths`. */
export function testFiles(paths: readonly string[]): string[] {
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

/** Whether a table names the file, or a folder that it is in. */
export function isNamed(file: string, table: Reasons): boolean {
  return isWithin(file, Object.keys(table));
}

function isWithin(file: string, paths: readonly string[]): boolean {
  return paths.some((path) => file === path || file.startsWith(`${path}/`));
}

/** Whether the file runs programs that are built or installed first. */
export function needsPrograms(file: string): boolean {
  const seen = new Set<string>();
  const reaches = (path: string): boolean => {
    if (path === REQUIREMENTS) return true;
    // A test of imports has some in its text that lead nowhere.
    if (!path.startsWith("tests/") || seen.has(path) || !existsSync(ROOT + path)) return false;
    seen.add(path);
    const imports = importsOf(Deno.readTextFileSync(ROOT + path));
    return imports.some((specifier) => reaches(resolveImport(path, specifier)));
  };
  return reaches(file);
}
