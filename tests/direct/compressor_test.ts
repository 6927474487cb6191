import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { COMPRESSED } from "../../lib/core/grpc/envelope.ts";
import { compressorOf, contentOf, frameOf, loadGzip } from "../../lib/direct/compressor.ts";
import { startMachine } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";

const gzip = await loadGzip();

const ZEROS = new Uint8Array(100_000);
const NOISE = crypto.getRandomValues(new Uint8Array(50_000));

for (
  const [name, message, compressed] of [
    ["a message that shrinks is compressed", ZEROS, true],
    ["a message that does not shrink stays as it is", NOISE, false],
    ["a short message stays as it is", ZEROS.subarray(0, 1_023), false],
    ["an empty message stays as it is", ZEROS.subarray(0, 0), false],
  ] as const
) {
  test(`frameOf() and contentOf(): ${name}, and comes back`, () => {
    const frame = frameOf(message, gzip);
    assert.equal(frame[0], compressed ? COMPRESSED : 0);
    assert.equal(new DataView(frame.buffer).getUint32(1), frame.length - 5);
    const content = contentOf(frame[0]!, frame.subarray(5), gzip, ZEROS.length);
    assert.ok(content instanceof Uint8Array);
    assert.deepEqual(new Uint8Array(content), new Uint8Array(message));
  });
}

test("contentOf(): what cannot be read is an error, with the code that says why", () => {
  const bomb = gzip.compress(ZEROS);
  const codeOf = (flags: number, data: Uint8Array, limit: number, compressor?: typeof gzip) => {
    const content = contentOf(flags, data, compressor, limit);
    return content instanceof ConnectError ? content.code : undefined;
  };
  assert.equal(codeOf(COMPRESSED, bomb, ZEROS.length, gzip), undefined);
  assert.equal(codeOf(COMPRESSED, bomb, ZEROS.length - 1, gzip), Code.ResourceExhausted);
  assert.equal(codeOf(COMPRESSED, NOISE, 1_000_000, gzip), Code.Internal);
  assert.equal(codeOf(COMPRESSED, bomb.subarray(0, 20), 1_000_000, gzip), Code.Internal);
  assert.equal(codeOf(COMPRESSED, bomb, 1_000_000), Code.Internal);
});

test("compressorOf(): only what was offered, and only if the server says so", () => {
  const says = (encoding: string) => new Headers({ "grpc-encoding": encoding });
  assert.equal(compressorOf(says("gzip"), gzip), gzip);
  assert.equal(compressorOf(says("gzip"), undefined), undefined);
  assert.equal(compressorOf(says("br"), gzip), undefined);
  assert.equal(compressorOf(new Headers(), gzip), undefined);
});

for (const protocol of ["grpc", "grpc-web"] as const) {
  test(`DialOptions.compression "gzip" works for every kind of call, as ${protocol}`, async () => {
    const encodings: (string | null)[] = [];
    await using machine = await startMachine({
      auth: "none",
      webrtc: false,
      routes: (router) =>
        router.rpc(ProbeService.method.echo, ({ data }, context) => {
          encodings.push(context.requestHeader.get("grpc-encoding"));
          return { data };
        }),
    });
    await using channel = await dialDirect(machine.address, {
      insecure: true,
      protocol,
      compression: "gzip",
    });
    const probe = createClient(ProbeService, channel);
    for (const data of [ZEROS, NOISE, new Uint8Array(0)]) {
      const answer = await probe.echo({ data });
      assert.deepEqual(new Uint8Array(answer.data), data);
    }
    assert.deepEqual(encodings, ["gzip", "gzip", "gzip"]);
    const summary = await probe.upload((async function* () {
      yield { data: ZEROS };
      yield { data: NOISE };
    })());
    assert.equal(summary.bytes, 150_000n);
    let count = 0;
    for await (const { data } of probe.download({ size: 5_000, count: 3 })) count += data.length;
    assert.equal(count, 15_000);
  });
}
