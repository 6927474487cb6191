import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { environmentOf, startCommand } from "../cli/command_line.ts";
import { test } from "../harness.ts";
import type { Child } from "../process/child.ts";
import { startGoMachine } from "./go_machine.ts";
import { buildGo, buildGrpcurl, missing } from "./requirements.ts";

const skip = missing("go");
const MEBIBYTE = 1024 * 1024;
const PROBE = "viam_dial.probe.v1.ProbeService";

interface Proxy extends AsyncDisposable {
  readonly address: string;
  readonly child: Child;
}

/** Starts `viam-dial proxy`, dialed over WebRTC. */
async function startProxy(env: Record<string, string>): Promise<Proxy> {
  const child = await startCommand(["proxy", "--insecure", "--json"], { env });
  const { address, path } = JSON.parse(await child.line());
  assert.equal(path.protocol, "webrtc");
  return { address, child, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

test("grpcurl lists and calls, through the proxy, a machine that is dialed over WebRTC", async () => {
  const grpcurl = await buildGrpcurl();
  await using machine = await startMachine();
  await using proxy = await startProxy(environmentOf(machine));
  const run = async (...args: string[]) =>
    (await promisify(execFile)(grpcurl, ["-plaintext", "-max-time", "60", ...args])).stdout;
  const services = (await run(proxy.address, "list")).trim().split("\n");
  for (const name of [PROBE, "viam.robot.v1.RobotService", "proto.rpc.examples.echo.v1.EchoService"]) {
    assert.ok(services.includes(name), services.join(", "));
  }
  assert.match(await run(proxy.address, "describe", `${PROBE}.Echo`), /rpc Echo/);
  assert.deepEqual(JSON.parse(await run("-d", '{"data":"AAEC"}', proxy.address, `${PROBE}/Echo`)), {
    data: "AAEC",
  });
  const stream = await run("-d", '{"data":"AA=="}{"data":"AQ=="}', proxy.address, `${PROBE}/Exchange`);
  assert.deepEqual(stream.replace(/\s/g, ""), '{"data":"AA=="}{"data":"AQ=="}');
  const request = '{"code":5,"message":"göne","detail":"why"}';
  await assert.rejects(run("-d", request, proxy.address, `${PROBE}/FailUnary`), (error) => {
    const { stderr } = error as { stderr: string };
    assert.match(stderr, /Code: NotFound\n\s+Message: göne\n[\s\S]*"text": "why"/);
    return true;
  });
  assert.ok(machine.callsTo(`/${PROBE}/Echo`).webrtc > 0);
}, { skip, timeoutMs: 300_000 });

test("a grpc-go client finds through the proxy all that it finds at the machine itself", async () => {
  const client = join(await buildGo(), "client");
  await using machine = await startGoMachine();
  await using proxy = await startProxy({ VIAM_ADDRESS: machine.address });
  const { stdout } = await promisify(execFile)(client, ["-address", proxy.address, "-wire", "webrtc"]);
  const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: string[] };
  assert.equal(ok, true);
  assert.ok(checks.length >= 12, checks.join(", "));
}, { skip, timeoutMs: 300_000 });

/** Resident memory of a process, in bytes. */
async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

test("64 MiB in each direction arrive whole through the proxy, which holds little of them", async () => {
  await using machine = await startGoMachine();
  await using proxy = await startProxy({ VIAM_ADDRESS: machine.address });
  await using channel = await dialDirect(proxy.address, { insecure: true, protocol: "grpc" });
  const probe = createClient(ProbeService, channel);
  const count = 64;
  const data = Uint8Array.from({ length: MEBIBYTE }, (_, index) => index);
  // Both ways at once, each message with a face of its own. What the first megabytes cost, they cost once.
  let back = 0;
  const shifted = (face: number) => Buffer.concat([data.subarray(face), data.subarray(0, face)]);
  const faces = (async function* () {
    for (let face = 0; face < 16; face++) yield { data: shifted(face) };
  })();
  for await (const message of probe.exchange(faces)) {
    assert.ok(Buffer.compare(message.data, shifted(back)) === 0, `message ${back}`);
    back++;
  }
  assert.equal(back, 16);
  const before = await residentBytes(proxy.child.pid);
  let peak = before;
  const sample = async () => {
    peak = Math.max(peak, await residentBytes(proxy.child.pid));
  };

  let began = performance.now();
  let received = 0;
  for await (const message of probe.download({ size: MEBIBYTE, count })) {
    assert.equal(message.data.length, MEBIBYTE);
    received++;
    if (received % 10 === 0) await sample();
  }
  const downMs = performance.now() - began;
  assert.equal(received, count);

  began = performance.now();
  const summary = await probe.upload((async function* () {
    for (let sent = 1; sent <= count; sent++) {
      yield { data };
      if (sent % 10 === 0) await sample();
    }
  })());
  const upMs = performance.now() - began;
  await sample();
  assert.deepEqual([summary.count, summary.bytes], [count, BigInt(count * MEBIBYTE)]);
  const risen = (peak - before) / MEBIBYTE;
  const rate = (ms: number) => `${(count * MEBIBYTE / 1000 / ms).toFixed(0)} MB/s`;
  if (process.env["VERBOSE"] !== undefined) {
    process.stderr.write(`down ${rate(downMs)}, up ${rate(upMs)}, RSS +${risen.toFixed(1)} MiB\n`);
  }
  assert.ok(risen < 48, `resident memory has risen by ${risen.toFixed(1)} MiB`);
}, { skip, timeoutMs: 300_000 });
