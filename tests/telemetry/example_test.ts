import assert from "node:assert/strict";
import { runtime, test } from "../harness.ts";
import { runProgram } from "../process/child.ts";

test(
  "the telemetry example runs, and Deno's own exporter shows the spans of its dial and its call",
  async () => {
    const { code, stdout, stderr } = await runProgram("examples/telemetry.ts", {
      permissions: ["--allow-net", "--allow-ffi", "--allow-read"],
      env: { OTEL_DENO: "true", OTEL_EXPORTER_OTLP_PROTOCOL: "console" },
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^hello$/m);
    if (runtime !== "deno") return; // the others have no exporter
    const written = `${stdout}${stderr}`;
    for (const span of ["viam.dial", "viam.dial.signaling", "proto.rpc.examples.echo.v1.EchoService/Echo"]) {
      assert.ok(written.includes(`SPAN ${span} `), `${span} is not in:\n${written}`);
    }
    assert.match(written, /rpc\.method: Echo/);
  },
  { timeoutMs: 60_000 },
);
