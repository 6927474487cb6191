import { Code, createClient } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { SensorService } from "../../examples/proto/gen/viam/component/sensor/v1/sensor_pb.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dialDirect, DialOptions } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { rejection } from "../transport/suite.ts";
import { PROGRAMS, pythonAndStubs, startPythonServer } from "./python_server.ts";
import { missing } from "./requirements.ts";

const NO_CALLS = { webrtc: 0, grpc: 0, "grpc-web": 0, connect: 0 };
const skip = missing("python3");

interface DialReport {
  readonly ok: boolean;
  readonly error?: string;
  readonly path?: string;
  readonly calls?: readonly string[];
}

/** Runs dial.py and returns what it printed. The SDK's engine may write lines of its own before. */
async function runDial(args: readonly string[]): Promise<DialReport> {
  const { python, env } = await pythonAndStubs();
  const { promise, resolve } = Promise.withResolvers<{ stdout: string; stderr: string }>();
  const options = { env, timeout: 60_000 };
  execFile(python, [join(PROGRAMS, "dial.py"), ...args], options, (_error, stdout, stderr) => {
    resolve({ stdout, stderr });
  });
  const { stdout, stderr } = await promise;
  const line = stdout.trimEnd().split("\n").at(-1) ?? "";
  assert.match(line, /^\{.*\}$/, `dial.py printed no report:\n${stdout}\n${stderr}`);
  return JSON.parse(line);
}

for (const path of ["webrtc", "direct"] as const) {
  test(`the Python SDK dials the machine, ${path}, and makes every kind of call`, async () => {
    const certificates = path === "direct" ? await makeCertificates() : undefined;
    try {
      await using machine = await startMachine(certificates === undefined ? {} : { tls: certificates });
      const report = await runDial([
        ...["--address", `127.0.0.1:${machine.port}`, "--api-key", machine.apiKey],
        ...["--api-key-id", machine.apiKeyId, "--path", path, "--token", `python-${path}`],
      ]);
      assert.deepEqual(report, {
        ok: true,
        path: path === "webrtc" ? "webrtc" : "grpc",
        calls: ["unary", "server_streaming", "client_streaming", "bidi_streaming", "failing"],
      });

      await using channel = await dialDirect(`127.0.0.1:${machine.port}`, {
        ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
        ...(certificates === undefined ? { insecure: true } : { tls: { ca: certificates.ca } }),
      });
      const probe = createClient(ProbeService, channel);
      const { started, finished, cancelled } = await probe.witness({ token: `python-${path}` });
      assert.deepEqual({ started, finished, cancelled }, { started: true, finished: true, cancelled: false });
    } finally {
      await certificates?.remove();
    }
  }, { skip, timeoutMs: 90_000 });
}

test("the Python SDK is refused with a wrong key", async () => {
  await using machine = await startMachine({});
  const report = await runDial([
    ...["--address", `127.0.0.1:${machine.port}`, "--api-key", "wrong"],
    ...["--api-key-id", machine.apiKeyId, "--path", "webrtc", "--token", "refused"],
  ]);
  assert.equal(report.ok, false);
  assert.ok(machine.callsTo("/proto.rpc.v1.AuthService/Authenticate").grpc > 0);
  assert.deepEqual(machine.callsTo("/viam_dial.probe.v1.ProbeService/Inspect"), NO_CALLS);
}, { skip, timeoutMs: 90_000 });

test("dialDirect() calls a sensor on the Python SDK's server", async () => {
  await using server = await startPythonServer("server.py");
  await using channel = await dialDirect(`127.0.0.1:${server.port}`, { insecure: true });
  const sensors = createClient(SensorService, channel);
  const { readings } = await sensors.getReadings({ name: "thermometer", extra: { unit: "K" } });
  const values = Object.fromEntries(Object.entries(readings).map(([name, value]) => [name, value.kind]));
  assert.deepEqual(values["celsius"], { case: "numberValue", value: 21.5 });
  assert.deepEqual(values["place"], { case: "stringValue", value: "kitchen" });
  assert.deepEqual(values["open"], { case: "boolValue", value: true });
  assert.equal(values["levels"]?.case, "listValue");
  assert.equal(values["extra"]?.case, "structValue");
  await assert.rejects(sensors.getReadings({ name: "barometer" }), /NotFound|not_found/i);
}, { skip, timeoutMs: 90_000 });

test(
  "an unknown method on the Python SDK's server, whose answer has no content type, is Unimplemented",
  async () => {
    await using server = await startPythonServer("server.py");
    await using channel = await dialDirect(`127.0.0.1:${server.port}`, { insecure: true });
    const method = { ...SensorService.method.getReadings, name: "Nothing" };
    const error = await rejection(() => channel.unary(method, undefined, undefined, undefined, {}));
    assert.equal(error.code, Code.Unimplemented);
    // A nonexistent service, too.
    assert.equal(
      (await rejection(() => createClient(ProbeService, channel).echo({}))).code,
      Code.Unimplemented,
    );
  },
  { skip, timeoutMs: 90_000 },
);
