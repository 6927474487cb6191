import { comparable } from "./address.ts";

/*
 * Discovery of machines on a local network: DNS-SD over multicast DNS (RFC 6763, RFC 6762), as in goutils (protocol
 * §2.6, §5.7). Each name of a machine is an instance of one service, and its TXT record says what it speaks.
 */

/** The service type that machines advertise. */
const SERVICE = "_rpc._tcp.local";

/** Lifetime of an answer, in seconds: the value of goutils. */
const TTL_SECONDS = 3_200;

/** A resource record in the form of the `dns-packet` package; other types are unknown here. */
export interface DnsRecord {
  readonly type: string;
  readonly name: string;
  readonly ttl?: number | undefined;
  readonly data?: unknown;
}

/** A question of a query. */
export interface DnsQuestion {
  readonly type: "PTR" | "SRV" | "TXT" | "A" | "ANY";
  readonly name: string;
}

/** A machine on the local network. */
export type FoundMachine = Omit<Advertisement, "names">;

/** The next step after an answer. */
export type LookupStep =
  | { readonly kind: "found"; readonly machine: FoundMachine }
  /** The answer is incomplete: ask for the rest. */
  | { readonly kind: "ask"; readonly questions: readonly DnsQuestion[] }
  /** The answer was about something else. */
  | { readonly kind: "nothing" };

/** Returns the names by which a machine is advertised: as dialed, and with dashes for dots. */
export function instanceNames(host: string): readonly string[] {
  const name = comparable(host);
  const dashed = name.replaceAll(".", "-");
  return dashed === name ? [name] : [name, dashed];
}

/**
 * Returns the questions for a machine. The question for PTR also reaches machines that write a name with dots as one
 * label.
 */
export function questionsFor(host: string): DnsQuestion[] {
  return [
    { type: "PTR", name: SERVICE },
    ...instanceNames(host).flatMap((name): DnsQuestion[] => [
      { type: "SRV", name: `${name}.${SERVICE}` },
      { type: "TXT", name: `${name}.${SERVICE}` },
    ]),
  ];
}

/** Returns the IPv4 address of a name in an answer, in any letter case. */
export function addressIn(records: readonly DnsRecord[], name: string): string | undefined {
  for (const { type, name: of, ttl, data } of records) {
    if (type === "A" && ttl !== 0 && typeof data === "string" && comparable(of) === comparable(name)) {
      return data;
    }
  }
  return undefined;
}

interface Instance {
  port?: number;
  target?: string;
  flags?: readonly string[];
}

/** Combines the answers about one machine. Only its exact names count, in any letter case. */
export class MdnsLookup {
  readonly #instances: ReadonlyMap<string, Instance>;
  readonly #addresses = new Map<string, string[]>();
  readonly #asked = new Set<string>();

  /** @param host The name as dialed. */
  constructor(host: string) {
    this.#instances = new Map(instanceNames(host).map((name) => [`${name}.${SERVICE}`, {}]));
  }

  /**
   * Takes the records of one answer.
   *
   * @param from The sender's address, which is preferred among several.
   */
  receive(records: readonly DnsRecord[], from: string): LookupStep {
    for (const record of records) {
      const name = comparable(record.name);
      const instance = this.#instances.get(name);
      const isGoodbye = record.ttl === 0;
      if (record.type === "A" && typeof record.data === "string" && !isGoodbye) {
        const known = this.#addresses.get(name) ?? [];
        if (!known.includes(record.data)) this.#addresses.set(name, [...known, record.data]);
      } else if (instance === undefined) continue;
      else if (record.type === "SRV") {
        const { port, target } = (record.data ?? {}) as { port?: unknown; target?: unknown };
        if (isGoodbye) delete instance.port;
        else if (typeof port === "number" && port > 0 && typeof target === "string") {
          instance.port = port;
          instance.target = comparable(target);
        }
      } else if (record.type === "TXT" && !isGoodbye) instance.flags = textsOf(record.data);
    }
    return this.#next(from);
  }

  #next(from: string): LookupStep {
    const questions: DnsQuestion[] = [];
    for (const [name, { port, target, flags }] of this.#instances) {
      if (port === undefined || target === undefined) {
        if (flags !== undefined) questions.push({ type: "SRV", name });
        continue;
      }
      const addresses = this.#addresses.get(target) ?? [];
      const address = addresses.find((one) => one === from) ?? addresses[0];
      if (flags === undefined) questions.push({ type: "TXT", name });
      else if (address === undefined) questions.push({ type: "A", name: target });
      // An instance with neither flag speaks something else.
      else if (flags.includes("grpc") || flags.includes("webrtc")) {
        return { kind: "found", machine: { address, port, webrtc: flags.includes("webrtc") } };
      }
    }
    const fresh = questions.filter(({ type, name }) => !this.#asked.has(`${type} ${name}`));
    for (const { type, name } of fresh) this.#asked.add(`${type} ${name}`);
    return fresh.length === 0 ? { kind: "nothing" } : { kind: "ask", questions: fresh };
  }
}

/** The advertisement of a machine: its names, its port, and what it speaks. */
export interface Advertisement {
  readonly names: readonly string[];
  readonly port: number;
  /** True if its TXT record has WebRTC among the protocols. */
  readonly webrtc: boolean;
  /** Its IPv4 address on the network that receives this. */
  readonly address: string;
}

/** Returns every record of an advertisement; with `goodbye`, the records that withdraw it. */
export function advertisedRecords(advertisement: Advertisement, { goodbye = false } = {}): DnsRecord[] {
  const { port, webrtc, address } = advertisement;
  const ttl = goodbye ? 0 : TTL_SECONDS;
  const names = new Set(advertisement.names.flatMap(instanceNames));
  return [...names].flatMap((name): DnsRecord[] => {
    const instance = `${name}.${SERVICE}`, target = `${name}.local`;
    return [
      { type: "PTR", name: SERVICE, ttl, data: instance },
      { type: "SRV", name: instance, ttl, data: { priority: 0, weight: 0, port, target } },
      { type: "TXT", name: instance, ttl, data: webrtc ? ["grpc", "webrtc"] : ["grpc"] },
      { type: "A", name: target, ttl, data: address },
    ];
  });
}

/** Returns the answers to a query: the records that it names, and those that the asker will need next. */
export function answersTo(
  questions: readonly { readonly type: string; readonly name: string }[],
  records: readonly DnsRecord[],
): { readonly answers: readonly DnsRecord[]; readonly additionals: readonly DnsRecord[] } {
  const answers = records.filter(({ type, name }) =>
    questions.some((question) =>
      comparable(question.name) === comparable(name) && (question.type === type || question.type === "ANY")
    )
  );
  const named = new Set(answers.flatMap(({ type, name, data }) => {
    const target = type === "SRV" ? (data as { target: string }).target : data;
    return typeof target === "string" ? [name, target] : [name];
  }));
  // An instance leads to its host.
  for (const { type, name, data } of records) {
    if (type === "SRV" && named.has(name)) named.add((data as { target: string }).target);
  }
  const additionals = records.filter((record) =>
    record.type !== "PTR" && named.has(record.name) && !answers.includes(record)
  );
  return { answers, additionals: answers.length === 0 ? [] : additionals };
}

/** Returns the texts of a TXT record: a list of bytes, or a single string. */
function textsOf(data: unknown): readonly string[] {
  const texts = Array.isArray(data) ? data : [data];
  return texts.map((text) =>
    text instanceof Uint8Array ? new TextDecoder().decode(text) : typeof text === "string" ? text : ""
  );
}
