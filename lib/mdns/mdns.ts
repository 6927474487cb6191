import { networkInterfaces } from "node:os";
import type { DnsQuestion, DnsRecord } from "../core/net/mdns_records.ts";
import { abortable } from "../runtime/abortable.ts";
import { isPermitted } from "../runtime/permission.ts";
import { settlesWithin } from "../runtime/wait.ts";

/*
 * The one importer of multicast-dns. Each interface needs a socket of its own to send from, and the bind address
 * 0.0.0.0 to receive multicast.
 */

/** A received message. */
export interface MdnsMessage {
  readonly questions: readonly { readonly type: string; readonly name: string }[];
  readonly records: readonly DnsRecord[];
  /** The IPv4 address of the sender. */
  readonly from: string;
}

/** Handles the messages that arrive on an interface. */
export interface MdnsListener {
  query?(message: MdnsMessage, via: MdnsInterface): void;
  response?(message: MdnsMessage, via: MdnsInterface): void;
}

/** An interface that takes part in multicast DNS. */
export interface MdnsInterface {
  /** Its IPv4 address. */
  readonly address: string;
  ask(questions: readonly DnsQuestion[]): void;
  answer(answers: readonly DnsRecord[], additionals?: readonly DnsRecord[]): void;
}

/** Every interface of this host that takes part. */
export interface MdnsSockets {
  readonly interfaces: readonly MdnsInterface[];
  /** Sends what is queued, and closes. Never rejects. */
  close(): Promise<void>;
}

/** The part of the package that is used. */
interface MulticastDns {
  on(event: "query" | "response", listener: (packet: Packet, from: { address: string }) => void): void;
  on(event: "error" | "warning", listener: (error: Error) => void): void;
  query(packet: object, callback: (error?: Error | null) => void): void;
  respond(packet: object, callback: (error?: Error | null) => void): void;
  destroy(callback: () => void): void;
}

interface Packet {
  readonly questions: readonly { type: string; name: string }[];
  readonly answers: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

const GROUP = "224.0.0.251";
const EVERYWHERE = "0.0.0.0";

/** Time that a close waits for unsent messages, in milliseconds. */
const CLOSE_TIMEOUT_MS = 200;

/** The flag of the permission that multicast DNS lacks; undefined if it lacks none. */
export function missingMdnsPermission(): string | undefined {
  if (!isPermitted({ name: "sys", kind: "networkInterfaces" })) return "--allow-sys=networkInterfaces";
  // Without the permission Deno throws where nobody can catch it.
  const hosts = [EVERYWHERE, GROUP];
  if (hosts.some((host) => !isPermitted({ name: "net", host }))) return `--allow-net=${hosts.join(",")}`;
  return undefined;
}

/** Takes part in multicast DNS until closed, on every interface except loopback. */
export async function openMdns(listener: MdnsListener, signal?: AbortSignal): Promise<MdnsSockets> {
  const { default: multicastDns } = await abortable(import("multicast-dns"), signal) as unknown as {
    default: (options: object) => MulticastDns;
  };
  const addresses = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) =>
      address
    )
  );
  const opened = addresses.map((address) => {
    const socket = multicastDns({ interface: address, bind: EVERYWHERE });
    const sending = new Set<Promise<void>>();
    // Ignores interfaces that cannot be used: others may work, and a dial does not depend on mDNS.
    const ignore = () => {};
    socket.on("error", ignore);
    socket.on("warning", ignore);
    const track = (send: (done: () => void) => void) => {
      const sent = new Promise<void>((resolve) => send(resolve)).then(() => {
        sending.delete(sent);
      });
      sending.add(sent);
    };
    const via: MdnsInterface = {
      address,
      ask: (questions) =>
        track((done) => socket.query({ questions: questions.map((one) => ({ ...one })) }, done)),
      answer: (answers, additionals = []) => track((done) => socket.respond({ answers, additionals }, done)),
    };
    const read = ({ questions, answers, additionals }: Packet, from: { address: string }): MdnsMessage => ({
      questions: questions ?? [],
      records: [...answers ?? [], ...additionals ?? []],
      from: from.address,
    });
    socket.on("query", (packet, from) => listener.query?.(read(packet, from), via));
    socket.on("response", (packet, from) => listener.response?.(read(packet, from), via));
    return { via, socket, sending };
  });
  return {
    interfaces: opened.map(({ via }) => via),
    async close() {
      await settlesWithin(CLOSE_TIMEOUT_MS, Promise.all(opened.flatMap(({ sending }) => [...sending])));
      await Promise.all(opened.map(({ socket }) => new Promise<void>((resolve) => socket.destroy(resolve))));
    },
  };
}
