/**
 * Compares the cost of a call with recorded counts that do not depend on the clock. After an intended change, a run
 * with `RECORD_COUNTS=1` prints the new content of `counts.ts`.
 */

import { createClient } from "@connectrpc/connect";
import library from "node-datachannel";
import assert from "node:assert/strict";
import process from "node:process";
import { dial } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { runtime, test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { type Counts, recorded } from "./counts.ts";

const CALLS = 50;

const LARGE = "webrtc, 200,000 bytes";

const count = {
  timers: 0,
  listeners: 0,
  abortControllers: 0,
  framesWritten: 0,

  framesRead: 0,
};

/** Counts the frames of channels that the engine makes from now on. Returns a function that stops counting. */
function countFrames(): () => void {
  const real = library.PeerConnection;
  // The prototypes of Bun's native classes cannot be changed, so each object is changed on its own.
  const replace = (object: object, name: string, value: unknown) =>
    Object.defineProperty(object, name, { value, configurable: true });
  library.PeerConnection = new Proxy(real, {
    construct(target, args: ConstructorParameters<typeof real>) {
      const connection = new target(...args);
      const create = connection.createDataChannel.bind(connection);
      replace(connection, "createDataChannel", (...parameters: Parameters<typeof create>) => {
        const channel = create(...parameters);
        const send = channel.sendMessageBinary.bind(channel);
        replace(channel, "sendMessageBinary", (frame: Uint8Array) => {
          count.framesWritten++;
          return send(frame);
        });
        const onMessage = channel.onMessage.bind(channel);
        replace(channel, "onMessage", (handle: Parameters<typeof onMessage>[0]) =>
          onMessage((message) => {
            count.framesRead++;
            handle(message);
          }));
        return channel;
      });
      return connection;
    },
  });
  return () => void (library.PeerConnection = real);
}

/** Counts timers, listeners and controllers until it is stopped. */
function countGlobals(): () => void {
  const { setTimeout: timeout, AbortController: controller } = globalThis;
  const { addEventListener } = EventTarget.prototype;
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof timeout>) => {
    count.timers++;
    return timeout(...args);
  }, timeout) as typeof timeout;
  globalThis.AbortController = class extends controller {
    constructor() {
      super();
      count.abortControllers++;
    }
  };
  const own = Object.hasOwn(AbortSignal.prototype, "addEventListener");
  AbortSignal.prototype.addEventListener = function (
    this: AbortSignal,
    ...args: Parameters<typeof addEventListener>
  ) {
    count.listeners++;
    return addEventListener.apply(this, args);
  } as typeof addEventListener;
  return () => {
    globalThis.setTimeout = timeout;
    globalThis.AbortController = controller;
    if (own) AbortSignal.prototype.addEventListener = addEventListener;
    else Reflect.deleteProperty(AbortSignal.prototype, "addEventListener");
  };
}

/** Makes `CALLS` calls, one after the other, and returns the counts for one call. */
async function countsOf(call: () => Promise<unknown>): Promise<Counts> {
  for (let n = 0; n < 5; n++) await call();
  for (const key of Object.keys(count)) count[key as keyof Counts] = 0;
  const stop = countGlobals();
  try {
    for (let n = 0; n < CALLS; n++) await call();
  } finally {
    stop();
  }
  // Liveness uses a timer now and then: less than one for each call is not the cost of a call.
  return Object.fromEntries(
    Object.entries(count).map(([name, value]) => [name, Math.floor(value / CALLS)]),
  ) as unknown as Counts;
}

for (const way of ["webrtc", "direct"] as const) {
  test(
    `a unary call costs as many frames, timers, listeners and controllers as recorded, ${way}`,
    async () => {
      await using machine = startProgram("tests/calls/programs/machine.ts");
      const address = await machine.line();
      const stop = countFrames();
      try {
        await using channel = await dial(address, { insecure: true, disableWebrtc: way === "direct" });
        const probe = createClient(ProbeService, channel);
        const data = new Uint8Array(64);
        const { signal } = new AbortController();
        const figures = {
          [`${way}, plain`]: await countsOf(() => probe.echo({ data })),
          [`${way}, signal`]: await countsOf(() => probe.echo({ data }, { signal })),
          [`${way}, timeout`]: await countsOf(() => probe.echo({ data }, { timeoutMs: 10_000 })),
        };
        if (way === "webrtc") {
          figures[LARGE] = await countsOf(() => probe.echo({ data: new Uint8Array(200_000) }));
        }
        if (process.env["RECORD_COUNTS"] === "1") {
          for (const [name, value] of Object.entries(figures)) {
            console.log(`${JSON.stringify(`${runtime}, ${name}`)}: ${JSON.stringify(value)},`);
          }
          return;
        }
        for (const [name, value] of Object.entries(figures)) {
          const expected = recorded[`${runtime}, ${name}`]!;
          const { framesWritten, framesRead } = name === LARGE ? expected : value;
          assert.deepEqual(
            { ...value, framesWritten, framesRead },
            expected,
            `${runtime}, ${name}: the cost of a call has changed from what tests/bench/counts.ts says; ` +
              `if that is meant, run this file with RECORD_COUNTS=1 and put what it prints there`,
          );
        }
      } finally {
        stop();
      }
    },
    { timeoutMs: 120_000 },
  );
}
