import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";
import { buildGo, missing } from "./requirements.ts";

const skip = missing("go");

test("a grpc-go client calls the embedded machine", async () => {
  const client = join(await buildGo(), "client");
  await using machine = await startMachine();
  const { stdout } = await promisify(execFile)(client, [
    "-address",
    machine.address,
    "-api-key",
    machine.apiKey,
    "-api-key-id",
    machine.apiKeyId,
  ]);
  const report = JSON.parse(stdout) as { ok: boolean; checks: string[] };
  assert.equal(report.ok, true);
  assert.ok(report.checks.length >= 8, `${report.checks.length} checks`);
}, { skip });
