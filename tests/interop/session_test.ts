import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MONITORED_METHODS } from "../../lib/core/session/monitored_methods.ts";
import { test } from "../harness.ts";
import { missing, pythonEnvironment } from "./requirements.ts";

test("MONITORED_METHODS are those that the .proto files of the Viam API mark as monitored", async () => {
  const program = fileURLToPath(new URL("python/monitored.py", import.meta.url));
  const { stdout } = await promisify(execFile)(await pythonEnvironment(), [program]);
  assert.deepEqual([...MONITORED_METHODS].toSorted(), stdout.trim().split("\n").toSorted());
}, { timeoutMs: 300_000, skip: missing("python3") });
