import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ProbeService } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { runtime, test } from "../harness.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

const skip = missing("go");

const servers = [
  ["grpc", ["-protocols", "handler"], "grpc-go behind net/http"],
  ["grpc", ["-protocols", "grpc"], "a bare grpc-go"],
  ["grpc", [], "net/http"],
  ["grpc-web", [], "net/http"],
] as const;

for (const [protocol, flags, name] of servers) {
  test(`a call in flight ends as Unavailable when its server stops: ${protocol} of ${name}`, async () => {
    const machine = await startGoMachine("-no-webrtc", ...flags);
    await using channel = await dialDirect(machine.address, { insecure: true, protocol });
    const probe = createClient(ProbeService, channel);
    const stream = probe.hang({})[Symbol.asyncIterator]();
    await stream.next();
    const calls = [stream.next(), probe.hangUnary({})];
    // Both are there once a call that came after them has been answered.
    await probe.echo({});
    const ended = calls.map((call) => call.then(() => undefined, ConnectError.from));
    await machine[Symbol.asyncDispose]();
    for (const error of await Promise.all(ended)) assert.equal(error?.code, Code.Unavailable, String(error));
  }, { skip });
}

/** A bare grpc-go heeds the limit. Behind net/http it sends the text all the same. */
const TOO_LONG = { grpc: Code.Internal, handler: Code.NotFound };

/** A text whose request is short, and that takes 90,000 bytes as a header. */
const LONG_TEXT = "é".repeat(15_000);

for (const [protocols, code] of Object.entries(TOO_LONG)) {
  test(
    `a text over the header limit that we announce fails its call alone, at the latest from the second on, ${protocols}`,
    async () => {
      await using machine = await startGoMachine("-no-webrtc", "-protocols", protocols);
      await using channel = await dialDirect(machine.address, { insecure: true, protocol: "grpc" });
      const probe = createClient(ProbeService, channel);
      const fail = () =>
        probe.failUnary({ code: Code.NotFound, message: LONG_TEXT }).then(() => undefined, ConnectError.from);
      if (protocols === "handler" && runtime !== "deno") {
        const first = await fail();
        assert.equal(first?.code, Code.Unavailable, String(first));
        assert.match(first.message, /connection lost: .* a header of over 64 KiB/);
        const { cause } = first.cause as Error;
        assert.equal((cause as NodeJS.ErrnoException).code, "ERR_HTTP2_ERROR");
      }
      const sendNext = Promise.withResolvers<void>();
      const stream = probe.exchange(toSend(sendNext.promise));
      for (const failure of await Promise.all([fail(), fail()])) {
        assert.equal(failure?.code, code, String(failure));
      }
      sendNext.resolve();
      for await (const payload of stream) assert.equal(payload.data.length, 3);
    },
    { skip },
  );
}

test("a server that finds the pings too many is pinged half as often, and the error says so", async () => {
  await using machine = await startGoMachine("-no-webrtc", "-protocols", "grpc");
  await using channel = await dialDirect(machine.address, { insecure: true, keepAliveMs: 1_000 });
  const probe = createClient(ProbeService, channel);
  const error = await (async () => {
    for await (const _ of probe.hang({}));
  })().then(() => undefined, ConnectError.from);
  assert.equal(error?.code, Code.Unavailable, String(error));
  assert.match(
    error.message,
    /pings too many \(too_many_pings\): keepAliveMs was 1000, and is 2000 from now on/,
  );
  await probe.echo({});
}, { skip });

/** Sends a message once the other call has failed. */
async function* toSend(next: Promise<void>) {
  await next;
  yield { data: new Uint8Array(3) };
}
