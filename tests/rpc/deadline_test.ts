import assert from "node:assert/strict";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { SESSION_EXPIRED } from "../../lib/core/session/session_expired.ts";
import type { CallListener, CallRequest } from "../../lib/rpc/carrier.ts";
import { deadlineOf, endWithin } from "../../lib/rpc/deadline.ts";
import { openerWithSession } from "../../lib/rpc/session_stream.ts";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dial } from "../../mod.ts";
import { lanes } from "../calls/lanes.ts";
import { test } from "../harness.ts";
import { rejection } from "../transport/suite.ts";

test(
  "deadlineOf(): no timeout, 0, a negative one and Infinity are no deadline; what is not a number is InvalidArgument",
  () => {
    for (const none of [undefined, 0, -1, Infinity]) assert.equal(deadlineOf(none).timeoutMs, undefined);
    for (const wrong of [NaN, "5", {}, 5n]) {
      const isRefused = (error: unknown) => ConnectError.from(error).code === Code.InvalidArgument;
      assert.throws(() => deadlineOf(wrong as number), isRefused, String(wrong));
    }
    assert.throws(() => deadlineOf(0.5), (error) => ConnectError.from(error).code === Code.DeadlineExceeded);
    assert.equal(deadlineOf(1e12).timeoutMs, 2_147_483_000);
  },
  { pure: true },
);

test(
  "endWithin(): after the deadline, a loss or a reset is DeadlineExceeded, and a status stays as it is",
  async () => {
    const reset = new ConnectError("the server reset the call", Code.Canceled);
    assert.equal(endWithin(deadlineOf(undefined), reset), reset);
    assert.equal(endWithin(deadlineOf(60_000), reset), reset);
    const passed = deadlineOf(1);
    while (!passed.passed) await Promise.resolve();
    const late = endWithin(passed, reset);
    assert.deepEqual([late.code, late.rawMessage], [Code.DeadlineExceeded, "the operation timed out"]);
    assert.equal(late.cause, reset);
    const status = new ConnectError("no", Code.NotFound);
    status.isWireError = true;
    assert.equal(endWithin(passed, status), status);
  },
  { pure: true },
);

test(
  "openerWithSession(): the second try tells the server the time that is left when it is sent",
  async () => {
    let left = 100;
    const requests: CallRequest[] = [];
    const call = { send: () => undefined, halfClose() {}, reset() {}, pause() {}, resume() {} };
    const refused = new ConnectError(SESSION_EXPIRED, Code.InvalidArgument);
    const carrier = {
      open(request: CallRequest, listener: CallListener) {
        requests.push(request);
        if (requests.length === 1) {
          queueMicrotask(() => listener.end({ error: refused, trailers: new Metadata() }));
        }
        return call;
      },
    };
    openerWithSession(carrier, () => "another").open(
      { path: "/a.B/C", kind: "bidi_streaming", metadata: new Metadata(), timeoutMs: () => left },
      { headers() {}, message() {}, end() {} },
    );
    while (requests.length < 2) await Promise.resolve();
    left = 5;
    assert.equal(requests[1]?.timeoutMs?.(), 5);
    assert.equal(requests[1]?.metadata.get("viam-sid"), "another");
  },
  { pure: true },
);

test("a call whose deadline passes before its timer can fire is not sent, over WebRTC, fetch and node:http2", async () => {
  await using machine = await startMachine({ auth: "none" });
  const compute: Interceptor = (next) => (request) => {
    const until = performance.now() + 15;
    while (performance.now() < until);
    return next(request);
  };
  for (const { name, options } of lanes) {
    await using channel = await dial(machine.address, { ...options, interceptors: [compute] });
    const { echo, download } = createClient(ProbeService, channel);
    const late = [() => echo({}, { timeoutMs: 5 }), () => Array.fromAsync(download({}, { timeoutMs: 5 }))];
    for (const call of late) assert.equal((await rejection(call)).code, Code.DeadlineExceeded, name);
    await echo({});
  }
  const called = (method: string) => machine.callsTo(`/${ProbeService.typeName}/${method}`);
  const counts = { connect: 0, webrtc: 1, grpc: 1, "grpc-web": 1 };
  assert.deepEqual(called("Echo"), counts);
  assert.deepEqual(Object.values(called("Download")), [0, 0, 0, 0]);
});
