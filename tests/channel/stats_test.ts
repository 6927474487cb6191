import assert from "node:assert/strict";
import { once } from "node:events";
import { Code, createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect, type ViamChannel } from "../../mod.ts";
import { test } from "../harness.ts";

async function* payloads(count: number, size: number): AsyncGenerator<{ data: Uint8Array }> {
  for (let index = 0; index < count; index++) yield { data: new Uint8Array(size) };
}

for (const disableWebrtc of [true, false]) {
  test(`getStats() counts calls, messages and bytes, ${disableWebrtc ? "directly" : "over WebRTC"}`, async () => {
    await using machine = await startMachine({ auth: "none" });
    await using channel = await dial(machine.address, { insecure: true, disableWebrtc });
    assert.deepEqual(channel.getStats().calls, { started: 0, succeeded: 0, failed: 0, open: 0 });
    const probe = createClient(ProbeService, channel);
    await probe.echo({ data: new Uint8Array(100) });
    for await (const _ of probe.download({ size: 1_000, count: 5 }));
    await probe.upload(payloads(4, 2_000));
    await assert.rejects(probe.failUnary({ code: Code.NotFound }));
    await assert.rejects(probe.hangUnary({}, { timeoutMs: 50 }));
    const leave = new AbortController();
    const hanging = probe.hang({}, { signal: leave.signal })[Symbol.asyncIterator]();
    await hanging.next();
    const { calls, messages, bytes, reconnects, connection } = channel.getStats();
    assert.deepEqual(calls, { started: 6, succeeded: 3, failed: 2, open: 1 });
    // One each, the upload's four, and the first answer of the stream that hangs.
    assert.deepEqual(messages, { sent: 9, received: 8 });
    assert.ok(bytes.sent > 8_100 && bytes.sent < 8_300, `${bytes.sent} bytes sent`);
    assert.ok(bytes.received > 5_100 && bytes.received < 5_300, `${bytes.received} bytes received`);
    assert.equal(reconnects, 0);
    if (disableWebrtc) assert.equal(connection, undefined);
    else assert.ok(connection!.bytesSent > bytes.sent && connection!.bytesReceived > bytes.received);
    leave.abort();
    await assert.rejects(hanging.next());
    assert.deepEqual(channel.getStats().calls, { started: 6, succeeded: 3, failed: 3, open: 0 });
  });
}

test("getStats() keeps counting after a reconnect, and keeps its counts after close()", async () => {
  await using machine = await startMachine({ auth: "none" });
  const channel: ViamChannel = await dial(machine.address, { insecure: true });
  const probe = createClient(ProbeService, channel);
  await probe.echo({});
  const lost = once(channel as unknown as EventTarget, "disconnected");
  machine.dropConnections();
  await lost;
  await probe.echo({});
  assert.equal(channel.getStats().reconnects, 1);
  await channel.close();
  const { calls, connection } = channel.getStats();
  assert.deepEqual(calls, { started: 2, succeeded: 2, failed: 0, open: 0 });
  assert.equal(connection!.bufferedBytes, 0);
});

test("getStats() of a bare channel is the same", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dialDirect(machine.address, { insecure: true });
  await createClient(ProbeService, channel).echo({});
  assert.equal(channel.getStats().calls.succeeded, 1);
});
