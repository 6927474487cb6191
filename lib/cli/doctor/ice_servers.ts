import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import { TurnStreamReader } from "../../core/ice/turn_framing.ts";
import { joinHostPort } from "../../core/net/address.ts";
import type { IceEndpoint } from "../../core/ice/ice.ts";
import {
  ALLOCATE,
  BINDING,
  decodeStun,
  encodeStun,
  REFRESH,
  type StunAnswer,
  type StunRequest,
} from "./stun_message.ts";
import type { ProxyFor } from "../../dial/proxies.ts";
import { openConnection } from "../../net/connection.ts";
import { abortable } from "../../runtime/abortable.ts";
import { linkAbort } from "../../runtime/linked_abort.ts";
import { messageOf } from "../error_text.ts";
import type { Step } from "./ladder.ts";
import type { TlsOptions } from "../../options/dial_options.ts";

/** Times at which a request is repeated over UDP, which may lose it, in milliseconds. */
const REPEAT_MS = 500;

/** The result of asking all servers of a kind. */
export interface ServersFound {
  readonly asked: number;
  /** The servers that answered, even with a refusal. */
  readonly answering: number;
}

/** A server answers with a refusal. */
class Refusal extends Error {}

/** Asks every STUN server for the address that it sees. */
export async function checkStun(
  endpoints: readonly IceEndpoint[],
  signal: AbortSignal,
): Promise<Step<ServersFound>> {
  const servers = endpoints.filter(({ scheme }) => scheme === "stun");
  if (servers.length === 0) return none("no STUN server is used on a private network");
  return await askAll(servers, signal, async (server) => {
    const way = await openUdp(server, signal);
    try {
      const { mapped } = await way.ask({ method: BINDING }, signal);
      return mapped === undefined ? "answers without an address" : `sees this computer as ${mapped}`;
    } finally {
      way.close();
    }
  });
}

/** Asks every TURN server for a relay address, and returns that address to it. */
export async function checkTurn(
  endpoints: readonly IceEndpoint[],
  settings: TlsOptions,
  signal: AbortSignal,
  proxyFor: ProxyFor = () => undefined,
): Promise<Step<ServersFound>> {
  const servers = endpoints.filter(({ scheme }) => scheme !== "stun");
  if (servers.length === 0) return none("there is no TURN server");
  return await askAll(servers, signal, async (server) => {
    const way = server.transport === "udp"
      ? await openUdp(server, signal)
      : await openStream(server, settings, proxyFor, signal);
    try {
      return await allocate(way, server, signal);
    } finally {
      way.close();
    }
  });
}

function none(detail: string): Step<ServersFound> {
  return { verdict: "skipped", detail, result: { asked: 0, answering: 0 } };
}

async function askAll(
  servers: readonly IceEndpoint[],
  signal: AbortSignal,
  ask: (server: IceEndpoint) => Promise<string>,
): Promise<Step<ServersFound>> {
  let working = 0;
  let answering = 0;
  const details = await Promise.all(servers.map(async (server) => {
    try {
      const answer = await ask(server);
      working++;
      answering++;
      return `${nameOf(server)} ${answer}`;
    } catch (error) {
      if (error instanceof Refusal) answering++;
      return `${nameOf(server)} fails: ${error === signal.reason ? "no answer" : messageOf(error)}`;
    }
  }));
  const result = { asked: servers.length, answering };
  if (working === servers.length) return { verdict: "ok", detail: details.join("; "), result };
  return {
    verdict: "note",
    detail: details.join("; "),
    advice: answering === 0
      ? "check that this network lets such traffic out"
      : working === 0
      ? "check the servers and their credentials"
      : "the others will do, unless this is the way that is needed",
    result,
  };
}

function nameOf({ scheme, hostname, port, transport }: IceEndpoint): string {
  const place = joinHostPort(hostname, port);
  if (scheme === "stun") return place;
  return `${place} over ${scheme === "turns" ? "TLS" : transport.toUpperCase()}`;
}

/** Asks for a relay address: first without credentials, as clients do, to learn the realm. */
async function allocate(way: Way, server: IceEndpoint, signal: AbortSignal): Promise<string> {
  const first = await way.ask({ method: ALLOCATE }, signal);
  if (first.error === undefined) return `relays at ${first.relayed ?? "an unknown address"}, for anybody`;
  const { realm, nonce } = first;
  if (first.error.code !== 401 || realm === undefined || nonce === undefined) throw refusal(first);
  const { username, credential } = server;
  if (username === undefined || credential === undefined) {
    throw new Refusal("it wants a username and a credential");
  }
  const identity = { username, password: credential, realm, nonce };
  const second = await way.ask({ method: ALLOCATE, identity }, signal);
  if (second.error !== undefined) throw refusal(second);
  await way.ask({ method: REFRESH, identity, lifetime: 0 }, signal).catch(() => {});
  return `relays at ${second.relayed ?? "an unknown address"}`;
}

function refusal({ error }: StunAnswer): Refusal {
  const { code, reason } = error!;
  return new Refusal(code === 401 ? "it refuses the credentials" : `it answers ${code} ${reason}`);
}

/** A connection to a server. */
interface Way {
  ask(request: Omit<StunRequest, "transaction">, signal: AbortSignal): Promise<StunAnswer>;
  receive(bytes: Uint8Array): void;
  fail(error: Error): void;
  close(): void;
}

/** @param send Sends a request's bytes. */
function createWay(send: (bytes: Uint8Array) => void, repeats: boolean, close: () => void): Way {
  let waiting: PromiseWithResolvers<StunAnswer> & { readonly transaction: string } | undefined;
  let failure: Error | undefined;
  return {
    async ask(request, signal) {
      if (failure !== undefined) throw failure;
      signal.throwIfAborted();
      const transaction = crypto.getRandomValues(new Uint8Array(12));
      const bytes = encodeStun({ ...request, transaction });
      const answer = Promise.withResolvers<StunAnswer>();
      waiting = { ...answer, transaction: transaction.join() };
      const repeat = repeats ? setInterval(send, REPEAT_MS, bytes) : undefined;
      send(bytes);
      try {
        return await abortable(answer.promise, signal);
      } finally {
        waiting = undefined;
        clearInterval(repeat);
      }
    },
    receive(bytes) {
      const answer = decodeStun(bytes);
      if (answer?.transaction.join() === waiting?.transaction) waiting?.resolve(answer!);
    },
    fail(error) {
      failure ??= error;
      waiting?.reject(error);
    },
    close,
  };
}

async function openUdp({ hostname, port }: IceEndpoint, signal: AbortSignal): Promise<Way> {
  const { address, family } = await abortable(lookup(hostname), signal).catch(() => {
    throw new Error("its name cannot be resolved");
  });
  signal.throwIfAborted();
  const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4");
  const way = createWay(
    (bytes) =>
      socket.send(bytes, port, address, (error) => {
        if (error instanceof Error) way.fail(error);
      }),
    true,
    () => socket.close(),
  );
  socket.on("message", (bytes) => way.receive(bytes));
  socket.on("error", (error) => way.fail(error));
  return way;
}

async function openStream(
  { scheme, hostname, port }: IceEndpoint,
  tls: TlsOptions,
  proxyFor: ProxyFor,
  signal: AbortSignal,
): Promise<Way> {
  const target = { hostname, port, secure: scheme === "turns" };
  const socket = await openConnection({ ...target, proxy: proxyFor(target) }, {
    signal,
    tls: target.secure ? tls : undefined,
  });
  const way = createWay((bytes) => void socket.write(bytes), false, () => socket.destroy());
  const reader = new TurnStreamReader();
  socket.on("data", (chunk: Uint8Array) => {
    try {
      for (const message of reader.push(chunk)) way.receive(message);
    } catch (error) {
      way.fail(error as Error);
    }
  });
  socket.on("error", (error) => way.fail(error));
  socket.on("close", () => way.fail(new Error("it closes the connection")));
  return way;
}

/** Limit of a datagram to this computer itself, in milliseconds. */
const OWN_DATAGRAM_MS = 2_000;

/** Sends a datagram from this computer to itself, which a firewall that stops all UDP would stop. */
export async function checkUdp(stop: AbortSignal): Promise<Step<boolean>> {
  const receiver = dgram.createSocket("udp4");
  const sender = dgram.createSocket("udp4");
  using bound = linkAbort([stop], { timeoutMs: OWN_DATAGRAM_MS });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let repeat: ReturnType<typeof setInterval> | undefined;
  for (const socket of [receiver, sender]) socket.on("error", (error) => resolve(error.message));
  receiver.on("message", () => resolve(undefined));
  receiver.bind(0, "127.0.0.1", () => {
    const { port } = receiver.address();
    const send = () =>
      sender.send(Uint8Array.of(0), port, "127.0.0.1", (error) => {
        if (error instanceof Error) resolve(error.message);
      });
    send();
    repeat = setInterval(send, 100);
  });
  const reason = await abortable(promise, bound.signal)
    .catch(() => "a datagram to this computer itself does not arrive");
  clearInterval(repeat);
  receiver.close();
  sender.close();
  if (reason === undefined) return { verdict: "ok", detail: "passes on this computer", result: true };
  return {
    verdict: "note",
    detail: `is blocked on this computer: ${reason}`,
    advice: "open it in this computer's firewall: WebRTC needs it",
    result: false,
  };
}
