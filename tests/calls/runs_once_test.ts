/** No handler runs twice for one call, wherever its connection is cut. */

import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type Machine, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dialDirect, type DialOptions } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { startProxy } from "../proxy_server.ts";
import { until } from "./lanes.ts";
import { type Cut, startRelay } from "./relay.ts";

/** Counts the runs of its handlers by the call, which is named in the metadata. */
async function startCounter(tls?: { readonly cert: string; readonly key: string }) {
  const runs = new Map<string, number>();
  const held: (() => void)[] = [];
  let holds = false;
  const run = async (headers: Headers) => {
    const call = headers.get("x-call") ?? "";
    const count = (runs.get(call) ?? 0) + 1;
    runs.set(call, count);
    if (holds && count === 1) await new Promise<void>((resolve) => held.push(resolve));
  };
  const machine: Machine = await startMachine({
    auth: "none",
    webrtc: false,
    ...(tls === undefined ? {} : { tls }),
    routes: (router) =>
      router.service(ProbeService, {
        async echo({ data }, { requestHeader }) {
          await run(requestHeader);
          return { data };
        },
        async *download(_request, { requestHeader }) {
          await run(requestHeader);
          for (let count = 0; count < 3; count++) yield { data: new Uint8Array(10) };
        },
        async upload(messages, { requestHeader }) {
          await run(requestHeader);
          for await (const _ of messages);
          return {};
        },
        async *exchange(messages, { requestHeader }) {
          await run(requestHeader);
          yield* messages;
        },
      }),
  });
  return {
    machine,
    /** Runs of each call. */
    runs,
    /** True while handlers wait. */
    set holds(value: boolean) {
      holds = value;
      if (!value) { for (const release of held.splice(0)) release(); }
    },
  };
}

const CUTS: readonly Cut[] = [
  ...[1, 9, 30, 100, 200, 400].map((afterBytes) => ({ direction: "request", afterBytes }) as const),
  ...[1, 9, 20, 60, 120].map((afterBytes) => ({ direction: "answer", afterBytes }) as const),
];

interface Lane {
  readonly name: string;
  readonly options: DialOptions;
  readonly secure: "no" | "TLS" | "TLS, HTTP/1.1 alone";
  /** Through a proxy, so on the sockets of this library. */
  readonly hasProxy?: boolean;
}

const LANES: readonly Lane[] = [
  ...(["no", "TLS"] as const).flatMap((secure): Lane[] => [
    { name: "protocol auto", options: {}, secure },
    { name: "gRPC-Web", options: { protocol: "grpc-web" }, secure },
    { name: "native gRPC", options: { protocol: "grpc" }, secure },
  ]),
  { name: "gRPC-Web", options: { protocol: "grpc-web" }, secure: "TLS, HTTP/1.1 alone" },
  { name: "gRPC-Web", options: { protocol: "grpc-web" }, secure: "no", hasProxy: true },
];

async function* two() {
  yield { data: Uint8Array.of(1) };
  yield { data: Uint8Array.of(2) };
}

async function read(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

const certificates = await makeCertificates();
await certificates.remove();

for (const { name, options, secure, hasProxy = false } of LANES) {
  const title = `${name}${secure === "no" ? "" : `, ${secure}`}${hasProxy ? ", through a proxy" : ""}`;
  test(`no call runs twice, wherever its connection is cut: ${title}`, async () => {
    const counter = await startCounter(secure === "TLS" ? certificates : undefined);
    await using _machine = counter.machine;
    await using relay = await startRelay(
      counter.machine.port,
      secure === "TLS, HTTP/1.1 alone" ? certificates : undefined,
    );
    const host = `machine.test:${relay.address.split(":")[1]}`;
    await using proxy = await startProxy({ kind: "http", routes: { [host]: Number(host.split(":")[1]) } });
    await using channel = await dialDirect(hasProxy ? host : relay.address, {
      ...options,
      ...(hasProxy ? { proxy: `http://127.0.0.1:${proxy.port}` } : {}),
      ...(secure === "no" ? { insecure: true } : { tls: { ca: certificates.ca } }),
    });
    const probe = createClient(ProbeService, channel);
    const data = new Uint8Array(300);
    type Kind = (
      options: { readonly headers: HeadersInit; readonly signal: AbortSignal },
    ) => Promise<unknown>;
    const kinds: Record<string, Kind> = {
      echo: (options) => probe.echo({ data }, options),
      download: (options) => read(probe.download({}, options)),
      upload: (options) => probe.upload(two(), options),
      // Needs HTTP/2.
      ...(secure === "TLS, HTTP/1.1 alone"
        ? {}
        : { exchange: (options) => read(probe.exchange(two(), options)) }),
    };
    const codes = new Set<string>();
    for (const [kind, call] of Object.entries(kinds)) {
      const run = async (title: string, signal = new AbortController().signal) => {
        const error = await call({ headers: { "x-call": title }, signal }).then(
          () => undefined,
          ConnectError.from,
        );
        codes.add(error === undefined ? "OK" : Code[error.code]!);
      };
      // A connection that was used before, and then is lost, a runtime may take for one that the server has closed.
      const warm = () => run(`${kind}, warm`);
      for (const cut of CUTS) {
        await warm();
        relay.cutAfter(cut);
        await run(`${kind}, cut after ${cut.afterBytes} bytes of the ${cut.direction}`);
        relay.cutAfter(undefined);
      }
      for (const how of ["close", "reset", "abort"] as const) {
        await warm();
        counter.holds = true;
        const title = `${kind}, ${how} while the handler runs`;
        const left = new AbortController();
        const cutOff = run(title, left.signal);
        await until(() => counter.runs.has(title));
        if (how === "abort") left.abort();
        else relay.cut(how);
        await cutOff;
        counter.holds = false;
      }
    }
    // What was sent again has arrived, too.
    await probe.echo({});
    for (const [call, runs] of counter.runs) {
      if (call !== "" && !call.endsWith("warm")) assert.equal(runs, 1, call);
    }
    assert.deepEqual([...codes].sort(), ["Canceled", "OK", "Unavailable"]);
  }, { timeoutMs: 60_000 });
}
