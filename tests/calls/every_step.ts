/** Every step of every kind of call, open at once on one channel. */

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { Pushed } from "../transport/suite.ts";
import { UNANSWERED_BYTES } from "./stubborn_upload.ts";

/** The end of a call's promise or iterator. */
export interface Settled {
  readonly outcome: string;
  /** By `performance.now()`. */
  readonly at: number;
}

/** A call that has come as far as its name says. */
export interface OpenCall {
  readonly name: string;
  /** Never rejects; does not resolve while the call hangs. */
  readonly settled: Promise<Settled>;
}

/** The outcome of a call: the name of a code, or "answered" when it ends well. */
export async function settle(run: () => Promise<unknown>): Promise<Settled> {
  try {
    await run();
    return { outcome: "answered", at: performance.now() };
  } catch (error) {
    const outcome = error instanceof ConnectError ? Code[error.code] : `no ConnectError: ${error}`;
    return { outcome: `${outcome}`, at: performance.now() };
  }
}

/** Reads until the iterator ends; and once more, since what has ended must not hang. */
async function drain(iterator: AsyncIterator<unknown>): Promise<void> {
  try {
    while (!(await iterator.next()).done);
  } finally {
    await iterator.next().catch(() => {});
  }
}

type Payload = { data: Uint8Array };

/**
 * Opens them. Resolves when the server knows of each.
 *
 * @param stubborn Whether the server has `stubbornUpload`.
 */
export async function openEveryStep(transport: Transport, stubborn: boolean): Promise<OpenCall[]> {
  const probe = createClient(ProbeService, transport);
  const calls: OpenCall[] = [];
  const reached: Promise<unknown>[] = [];
  const run = (name: string, act: () => Promise<unknown>) => calls.push({ name, settled: settle(act) });
  const tokens: string[] = [];
  const witnessed = () => {
    const token = crypto.randomUUID();
    tokens.push(token);
    return { headers: { "x-witness": token } };
  };
  async function* endless(size: number): AsyncGenerator<Payload> {
    for (;;) yield { data: new Uint8Array(size) };
  }
  const one = async function* (): AsyncGenerator<Payload> {
    yield { data: Uint8Array.of(1) };
  };

  run("unary, its answer awaited", () => probe.hangUnary({}, witnessed()));
  run(
    "unary, a deadline long after",
    () => probe.hangUnary({}, { ...witnessed(), timeoutMs: 600_000 }),
  );
  run("server stream, its headers awaited", async () => {
    const options = { ...witnessed() };
    await drain(probe.fail({ delayMs: 600_000 }, options)[Symbol.asyncIterator]());
  });
  {
    const iterator = probe.hang({}, witnessed())[Symbol.asyncIterator]();
    const first = iterator.next();
    reached.push(first);
    run("server stream, its second message awaited", async () => {
      await first;
      await drain(iterator);
    });
  }
  {
    // Now and then nobody asks when a message comes. What has come is delivered after the loss, too: it must not be much.
    const iterator = probe.download({ size: 100, count: 1_000_000, intervalMs: 100 }, witnessed())[
      Symbol.asyncIterator
    ]();
    const first = iterator.next();
    reached.push(first);
    run("server stream, read slowly", async () => {
      await first;
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 60));
        if ((await iterator.next()).done) return;
      }
    });
  }
  run("client stream, its input silent", () => probe.upload(new Pushed<Payload>(), witnessed()));
  run("client stream, in the middle of sending", () => probe.upload(endless(200_000), witnessed()));
  if (stubborn) {
    const input = async function* () {
      yield { data: new Uint8Array(UNANSWERED_BYTES) };
    };
    run("client stream, half-closed, its answer awaited", () => probe.upload(input(), witnessed()));
  }
  {
    const input = new Pushed<Payload>();
    const iterator = probe.exchange(input, witnessed())[Symbol.asyncIterator]();
    const first = iterator.next();
    input.push({ data: Uint8Array.of(1) });
    reached.push(first);
    run("bidirectional, both sides silent", async () => {
      await first;
      await drain(iterator);
    });
  }
  run("bidirectional, before any message", async () => {
    await drain(probe.exchange(new Pushed<Payload>(), witnessed())[Symbol.asyncIterator]());
  });
  {
    const iterator = probe.exchange(endless(1_000), witnessed())[Symbol.asyncIterator]();
    const first = iterator.next();
    reached.push(first);
    run("bidirectional, both sides busy", async () => {
      await first;
      await drain(iterator);
    });
  }
  {
    const input = (async function* (): AsyncGenerator<Payload> {
      yield* one();
      await new Promise(() => {});
    })();
    const iterator = probe.exchange(input, witnessed())[Symbol.asyncIterator]();
    const first = iterator.next();
    reached.push(first);
    run("bidirectional, an input that never returns", async () => {
      await first;
      await drain(iterator);
    });
  }
  await Promise.all(reached);
  for (const token of tokens) {
    while (!(await probe.witness({ token })).started) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return calls;
}
