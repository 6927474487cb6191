/** Runs several test files in one process: those that `TEST_FILES` names, paths from the root, one a line. */

import process from "node:process";
import { loadTests } from "./harness.ts";

for (const file of process.env.TEST_FILES?.split("\n") ?? []) {
  await loadTests(file, () => import(new URL(`../${file}`, import.meta.url).href));
}
