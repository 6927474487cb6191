/**
 * A program for exit_test.ts: does what its first argument names, against the machine that its second argument is
 * the address of, says so on a line of its own, and leaves it to the runtime to end the process.
 *
 * exit_program.ts NAME ADDRESS API_KEY API_KEY_ID
 */
import process from "node:process";
import { createClient, type Transport } from "@connectrpc/connect";
import { dial, DialOptions } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

const [name = "", address = "", apiKey = "", apiKeyId = ""] = process.argv.slice(2);
const webrtc: DialOptions = { ...DialOptions.withApiKey(apiKey, apiKeyId), insecure: true };
const direct: DialOptions = { ...webrtc, disableWebrtc: true };

async function call(channel: Transport): Promise<void> {
  await createClient(ProbeService, channel).echo({ data: Uint8Array.of(1) });
}

/** Makes a call of every kind, so that every carrier of a direct channel is in use. */
async function callEveryKind(channel: Transport): Promise<void> {
  const probe = createClient(ProbeService, channel);
  await call(channel);
  for await (const _ of probe.download({ size: 1, count: 2 }));
  for await (const _ of probe.exchange(one()));
}

async function* one() {
  yield { data: Uint8Array.of(1) };
}

async function fails(dialing: Promise<unknown>): Promise<void> {
  try {
    await dialing;
  } catch {
    return;
  }
  throw new Error("the dial succeeded");
}

/** Runs later, unless the process has ended by then. */
function later(milliseconds: number, act: () => void): void {
  const timer: unknown = setTimeout(act, milliseconds);
  if (typeof timer === "number") {
    (globalThis as unknown as { Deno: { unrefTimer(id: number): void } }).Deno.unrefTimer(timer);
  } else {
    (timer as { unref(): void }).unref();
  }
}

const SCENARIOS: Record<string, () => Promise<void>> = {
  async "closed"() {
    const channel = await dial(address, webrtc);
    await call(channel);
    await channel.close();
  },
  async "direct closed"() {
    const channel = await dial(address, direct);
    await callEveryKind(channel);
    await channel.close();
  },
  async "wrong key"() {
    await fails(dial(address, { ...webrtc, ...DialOptions.withApiKey("wrong", apiKeyId) }));
    await fails(dial(address, { ...direct, ...DialOptions.withApiKey("wrong", apiKeyId) }));
  },
  async "refused"() {
    await fails(dial("127.0.0.1:1", webrtc));
    await fails(dial("127.0.0.1:1", direct));
  },
  async "timeout"() {
    await fails(dial(address, { ...webrtc, timeoutMs: 300 }));
    await fails(dial(address, { ...direct, timeoutMs: 300 }));
    await fails(dial(address, { ...direct, protocol: "grpc", timeoutMs: 300 }));
  },
  async "abort"() {
    for (const options of [webrtc, direct]) {
      const abort = new AbortController();
      const dialing = dial(address, { ...options, timeoutMs: Infinity, signal: abort.signal });
      setTimeout(() => abort.abort(new Error("enough")), 100);
      await fails(dialing);
    }
  },
  async "abort, with the offer in the queue"() {
    const abort = new AbortController();
    await fails(dial(address, {
      ...webrtc,
      signal: abort.signal,
      onEvent(event) {
        if (event.type === "progress" && event.entry.phase === "offer") abort.abort(new Error("enough"));
      },
    }));
  },
  async "reconnect exhausted"() {
    const connect = () => dial(address, { ...webrtc, maxReconnectAttempts: 2, timeoutMs: 3_000 });
    // Each attempt afterwards takes all of this time, too; a busy computer may need more of it at first.
    const channel = await connect().catch(connect).catch(connect);
    await call(channel);
    print("ready"); // the machine ends now
    if (await channel.closed === undefined) throw new Error("closed without an error");
  },
  async "callbacks throw"() {
    const fault = () => {
      throw new Error("thrown by the callback");
    };
    const later = () => Promise.reject(new Error("rejected by the callback"));
    for (const callback of [fault, later]) {
      const logger = { debug: callback, info: callback, warn: callback, error: callback };
      const channel = await dial(address, { ...webrtc, logger, onEvent: callback });
      channel.addEventListener("closed", callback);
      await call(channel);
      await channel.close();
    }
  },
  async "interceptor throws"() {
    const channel = await dial(address, {
      ...webrtc,
      interceptors: [() => () => {
        throw new Error("thrown by the interceptor");
      }],
    });
    await fails(call(channel));
    await channel.close();
  },
  async "direct left open"() {
    await callEveryKind(await dial(address, direct));
  },
  async "direct left open, native gRPC"() {
    await callEveryKind(await dial(address, { ...direct, protocol: "grpc" }));
  },
  async "left open, closed by a timer"() {
    const channel = await dial(address, webrtc);
    await call(channel);
    // A timer that does not keep the process alive: it runs only because the channel does.
    later(1_500, async () => {
      await channel.close();
      print("closed");
    });
  },
  async "left open until a signal"() {
    await call(await dial(address, webrtc));
    print("ready"); // the signal comes now
  },
  async "left open until a signal is handled"() {
    const channel = await dial(address, webrtc);
    await call(channel);
    process.on("SIGTERM", async () => {
      await channel.close();
      print("closed");
    });
    print("ready"); // the signal comes now
  },
};

/** Writes a line before anything else happens. */
function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await SCENARIOS[name]!();
print("done");
