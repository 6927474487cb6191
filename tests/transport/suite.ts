import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { deadline } from "../../mod.ts";
import {
  ErrorDetailSchema,
  type Payload,
  ProbeService,
} from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test, type TestOptions } from "../harness.ts";

/** A transport to a server of ProbeService, and its release. */
export interface Opened {
  readonly transport: Transport;
  close(): Promise<void>;
}

/** The properties of a lane. */
export interface Lane {
  readonly name: string;
  /** The protocol that the server sees: "webrtc", "grpc" or "grpc-web"; several if the runtime mixes them. */
  readonly paths: readonly string[];
  readonly open: () => Promise<Opened>;
  readonly skip?: string | undefined;
  /** Values of a repeated name arrive one by one, not joined as HTTP may. */
  readonly keepsLists: boolean;
  /** Differs from another lane in its signaling alone: the largest answers say nothing new there. */
  readonly isAsAnother?: boolean;
}

/** The behaviour that every path to a server shares: one suite for every carrier and every server. */
export function testTransport(lane: Lane): void {
  const check = (
    title: string,
    run: (transport: Transport) => Promise<void>,
    options: TestOptions = {},
  ) =>
    test(`${lane.name}: ${title}`, async () => {
      const { transport, close } = await lane.open();
      try {
        await run(transport);
      } finally {
        await close();
      }
    }, { ...options, skip: lane.skip });

  const probe = (transport: Transport) => createClient(ProbeService, transport);

  check("a unary call returns its answer", async (transport) => {
    const data = bytes(64);
    assert.deepEqual((await probe(transport).echo({ data })).data, data);
  });

  check("calls take the way they should", async (transport) => {
    const { path } = await probe(transport).inspect({});
    assert.ok(lane.paths.includes(path), `${path} is none of ${lane.paths.join(", ")}`);
  });

  check("messages of every size come back whole", async (transport) => {
    for (const size of [0, 1, 16_373, 16_374, 65_509, 65_510, 200_000, 3 * 1024 * 1024]) {
      const data = bytes(size);
      const answer = await probe(transport).echo({ data });
      assert.equal(answer.data.length, size);
      assert.ok(same(answer.data, data), `${size} bytes came back changed`);
    }
  });

  check("a server stream delivers every message in order", async (transport) => {
    let count = 0;
    for await (const { data } of probe(transport).download({ size: 1000, count: 50 })) {
      assert.equal(data.length, 1000);
      count++;
    }
    assert.equal(count, 50);
  });

  check("a server stream without messages ends", async (transport) => {
    for await (const _ of probe(transport).download({ size: 1, count: 0 })) assert.fail("a message");
  });

  check("a client stream is counted", async (transport) => {
    const summary = await probe(transport).upload(payloads(40, 5_000));
    assert.deepEqual([summary.count, summary.bytes], [40, 200_000n]);
  });

  check("a client stream may be empty", async (transport) => {
    assert.equal((await probe(transport).upload(payloads(0, 0))).count, 0);
  });

  check("a bidirectional call answers each message before the next is sent", async (transport) => {
    const input = new Pushed<{ data: Uint8Array }>();
    const answers = probe(transport).exchange(input)[Symbol.asyncIterator]();
    for (let index = 0; index < 5; index++) {
      input.push({ data: Uint8Array.of(index) });
      const next = await answers.next();
      assert.deepEqual((next.value as Payload).data, Uint8Array.of(index));
    }
    input.end();
    assert.equal((await answers.next()).done, true);
  });

  check("one megabyte goes through each kind of stream", async (transport) => {
    const size = 1024 * 1024;
    for await (const { data } of probe(transport).download({ size, count: 2 })) {
      assert.equal(data.length, size);
    }
    assert.equal((await probe(transport).upload(payloads(2, size))).bytes, BigInt(2 * size));
    let back = 0;
    for await (const { data } of probe(transport).exchange(payloads(2, size))) back += data.length;
    assert.equal(back, 2 * size);
  });

  // Ours are 8 MiB a connection, and 4 MiB a stream or at a server.
  check("a stream longer than every flow-control window comes down whole", async (transport) => {
    let received = 0;
    for await (const { data } of probe(transport).download({ size: 65_536, count: 136 })) {
      received += data.length;
    }
    assert.equal(received, 136 * 65_536);
  });

  check("uploads longer than every flow-control window go up whole, beside each other", async (transport) => {
    const uploads = await Promise.all(
      [1, 2].map(() => probe(transport).upload(payloads(34, 131_072))),
    );
    for (const { bytes } of uploads) assert.equal(bytes, BigInt(34 * 131_072));
  });

  check("an error has its code, text, details and trailers, whenever it comes", async (transport) => {
    const text = "nö, 100 %20\nlost";
    for (const after of [0, 2]) {
      let messages = 0;
      const error = await rejection(async () => {
        const answers = probe(transport).fail({ code: Code.NotFound, message: text, after, detail: "why" });
        for await (const _ of answers) messages++;
      });
      assert.equal(messages, after);
      assert.equal(error.code, Code.NotFound);
      assert.equal(error.rawMessage, text);
      assert.deepEqual(error.findDetails(ErrorDetailSchema).map((detail) => detail.text), ["why"]);
      assert.equal(error.metadata.get("x-trail"), "t1");
      assert.equal(unpadded(error.metadata.get("x-trail-bin")), "CQgH");
    }
    const unary = await rejection(() =>
      probe(transport).failUnary({ code: Code.DataLoss, message: text, detail: "x" })
    );
    assert.deepEqual([unary.code, unary.rawMessage], [Code.DataLoss, text]);
    assert.equal(unary.findDetails(ErrorDetailSchema)[0]?.text, "x");
  });

  check("headers and trailers arrive, repeated and binary ones too", async (transport) => {
    let headers = new Headers();
    let trailers = new Headers();
    for await (
      const _ of probe(transport).fail({ after: 1 }, {
        onHeader: (value) => headers = value,
        onTrailer: (value) => trailers = value,
      })
    );
    assert.deepEqual(headers.get("x-head")?.split(/, ?/), ["h1", "h2"]);
    assert.equal(unpadded(headers.get("x-head-bin")), "AAECAw");
    assert.equal(trailers.get("x-trail"), "t1");
    assert.equal(unpadded(trailers.get("x-trail-bin")), "CQgH");
  });

  check("request metadata arrives, repeated and binary values too", async (transport) => {
    const headers = new Metadata([["x-one", "1"], ["x-list", "a"], ["x-list", "b, c"], [
      "x-bytes-bin",
      "AAECAw",
    ]]);
    const { metadata } = await probe(transport).inspect({}, { headers });
    assert.deepEqual(metadata["x-one"]?.values, ["1"]);
    assert.deepEqual(metadata["x-bytes-bin"]?.values.map(unpadded), ["AAECAw"]);
    const single = new Metadata([["from", "a"], ["from", "b"]]);
    const from = (await probe(transport).inspect({}, { headers: single })).metadata["from"]?.values ?? [];
    assert.equal(from.join(", "), "a, b");
    const list = metadata["x-list"]?.values ?? [];
    if (lane.keepsLists) assert.deepEqual(list, ["a", "b, c"]);
    else assert.equal(list.join(", "), "a, b, c");
  });

  check("metadata with names of the connection harms no call", async (transport) => {
    const names = [
      ["connection", "close"],
      ["content-length", "3"],
      ["content-type", "text/html"],
      ["expect", "100-continue"],
      ["grpc-encoding", "gzip"],
      ["grpc-timeout", "1n"],
      ["host", "elsewhere"],
      ["keep-alive", "timeout=1"],
      ["proxy-connection", "close"],
      ["te", "gzip"],
      ["trailer", "x-none"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "h2c"],
    ] as const;
    const open = probe(transport).hang({})[Symbol.asyncIterator]();
    await open.next();
    for (const [name, value] of names) {
      const headers = new Metadata([[name, value], ["x-one", "1"]]);
      const { metadata } = await probe(transport).inspect({}, { headers, timeoutMs: 5_000 });
      assert.deepEqual(metadata["x-one"]?.values, ["1"], name);
    }
    const ended = open.next().then(() => "ended", () => "failed");
    assert.equal(await Promise.race([ended, Promise.resolve("open")]), "open");
  });

  check("the deadline reaches the server", async (transport) => {
    const { timeoutMs } = await probe(transport).inspect({}, { timeoutMs: 5_000 });
    assert.ok(timeoutMs > 3_000n && timeoutMs <= 5_000n, `${timeoutMs} ms`);
    assert.equal((await probe(transport).inspect({})).timeoutMs, -1n);
  });

  check(
    "a deadline that has passed, and a timeout that is not a number, let no call go out",
    async (transport) => {
      for (const [timeoutMs, code] of [[deadline(0).timeoutMs, 4], [NaN, 3]] as const) {
        const token = crypto.randomUUID();
        const options = { timeoutMs, headers: { "x-witness": token } };
        assert.equal((await rejection(() => probe(transport).hangUnary({}, options))).code, code);
        const stream = () => Array.fromAsync(probe(transport).hang({}, options));
        assert.equal((await rejection(stream)).code, code);
        assert.equal((await probe(transport).witness({ token })).started, false);
      }
    },
  );

  check("a deadline ends a call of any kind, at the server as well", async (transport) => {
    const token = crypto.randomUUID();
    const start = performance.now();
    const unary = await rejection(() =>
      probe(transport).hangUnary({}, { timeoutMs: 200, headers: { "x-witness": token } })
    );
    assert.equal(unary.code, Code.DeadlineExceeded);
    const stream = await rejection(async () => {
      for await (const _ of probe(transport).hang({}, { timeoutMs: 200 }));
    });
    assert.equal(stream.code, Code.DeadlineExceeded);
    assert.ok(performance.now() - start < 3_000);
    await witnessed(transport, token);
  });

  check("cancelling reaches the server", async (transport) => {
    const token = crypto.randomUUID();
    const cancel = new AbortController();
    const error = await rejection(async () => {
      const answers = probe(transport).hang({}, { signal: cancel.signal, headers: { "x-witness": token } });
      for await (const _ of answers) cancel.abort();
    });
    assert.equal(error.code, Code.Canceled);
    await witnessed(transport, token);
    const unaryToken = crypto.randomUUID();
    const late = new AbortController();
    const unary = probe(transport).hangUnary({}, {
      signal: late.signal,
      headers: { "x-witness": unaryToken },
    });
    unary.catch(() => {});
    await started(transport, unaryToken);
    late.abort();
    assert.equal((await rejection(() => unary)).code, Code.Canceled);
    await witnessed(transport, unaryToken);
  });

  check("leaving the loop over a stream resets the call", async (transport) => {
    const token = crypto.randomUUID();
    const { message } = await transport.stream(
      ProbeService.method.hang,
      undefined,
      undefined,
      { "x-witness": token },
      (async function* () {
        yield {};
      })(),
    );
    for await (const _ of message) break;
    await witnessed(transport, token);
  });

  check("a nonexistent method is Unimplemented", async (transport) => {
    const method = { ...ProbeService.method.echo, name: "Nothing" };
    const error = await rejection(() => transport.unary(method, undefined, undefined, undefined, {}));
    assert.equal(error.code, Code.Unimplemented);
  });

  check("a message over the limit is refused, and the next call works", async (transport) => {
    const error = await rejection(() => probe(transport).echo({ data: bytes(33_554_432 + 1) }));
    assert.equal(error.code, Code.ResourceExhausted);
    if (lane.isAsAnother !== true) {
      const answer = await rejection(async () => {
        for await (const _ of probe(transport).download({ size: 33_554_432 + 1, count: 1 }));
      });
      assert.equal(answer.code, Code.ResourceExhausted);
    }
    assert.equal((await probe(transport).echo({ data: bytes(8) })).data.length, 8);
  });

  check("a slow reader loses nothing", async (transport) => {
    let count = 0;
    for await (const _ of probe(transport).download({ size: 20_000, count: 100 })) {
      count++;
      if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(count, 100);
  });

  check("300 streams at once, cancelled at once, leave the channel usable", async (transport) => {
    const cancel = new AbortController();
    const streams = Array.from({ length: 300 }, () => probe(transport).hang({}, { signal: cancel.signal }));
    const readers = streams.map((answers) => answers[Symbol.asyncIterator]());
    await Promise.all(readers.map((reader) => reader.next()));
    const ends = readers.map((reader) => rejection(() => reader.next()));
    cancel.abort();
    for (const error of await Promise.all(ends)) assert.equal(error.code, Code.Canceled);
    assert.equal((await probe(transport).echo({ data: bytes(8) })).data.length, 8);
  });

  check("an input that throws ends its call with that error", async (transport) => {
    const error = await rejection(() =>
      probe(transport).upload((async function* () {
        yield { data: bytes(10) };
        throw new ConnectError("the file is gone", Code.Aborted);
      })())
    );
    assert.deepEqual([error.code, error.rawMessage], [Code.Aborted, "the file is gone"]);
  });
}

async function started(transport: Transport, token: string): Promise<void> {
  for (;;) {
    if ((await createClient(ProbeService, transport).witness({ token })).started) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits until the server has seen the call cancelled; the test's own bound ends the wait. */
async function witnessed(transport: Transport, token: string): Promise<void> {
  for (;;) {
    const { started, cancelled } = await createClient(ProbeService, transport).witness({ token });
    assert.ok(started, "the call never arrived");
    if (cancelled) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Returns the error that `run` fails with. */
export async function rejection(run: () => Promise<unknown>): Promise<ConnectError> {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof ConnectError, `no ConnectError: ${error}`);
    return error;
  }
  assert.fail("it did not fail");
}

function unpadded(value: string | null): string | undefined {
  return value?.replace(/=+$/, "");
}

/** Bytes of which each differs from those around it, and from the one 256 before. */
function bytes(length: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(length);
  const period = Math.min(length, 65_536);
  for (let index = 0; index < period; index++) data[index] = index * 31 + (index >> 8);
  for (let filled = period; filled < length; filled *= 2) data.copyWithin(filled, 0, filled);
  return data;
}

function same(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

async function* payloads(count: number, size: number): AsyncGenerator<{ data: Uint8Array }> {
  const data = bytes(size);
  for (let index = 0; index < count; index++) yield { data };
}

/** An input that a test feeds by hand. */
export class Pushed<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift()!;
      if (this.#ended) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }
}
