/*
 * How machines are found on a local network: DNS-SD over multicast DNS (RFC 6763, RFC 6762), as goutils has it
 * (protocol §2.6, §5.7). Each name of a machine is an instance of one service; its TXT record says what it speaks.
 */

/** The service type that machines advertise. */
const SERVICE = "_rpc._tcp.local";

/** Of how long an answer is good, in seconds: goutils' value. */
const TTL_SECONDS = 3_200;

/** A resource record, as the `dns-packet` package has it; of other types nothing is known here. */
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

/** A machine that was found. */
export interface FoundMachine {
  /** IPv4. */
  readonly address: string;
  readonly port: number;
  /** What its TXT record says. */
  readonly grpc: boolean;
  readonly webrtc: boolean;
}

/** What there is to do after an answer. */
export type LookupStep =
  | { readonly kind: "found"; readonly machine: FoundMachine }
  /** The answer lacks something: ask for it. */
  | { readonly kind: "ask"; readonly questions: readonly DnsQuestion[] }
  /** It was about something else. */
  | { readonly kind: "nothing" };

/** The names a machine is advertised by: as dialed, and with dashes for dots. */
export function instanceNames(host: string): readonly string[] {
  const name = host.replace(/\.$/, "").toLowerCase();
  const dashed = name.replaceAll(".", "-");
  return dashed === name ? [name] : [name, dashed];
}

/** What to ask for. By PTR also answer those that write a name with dots as one label. */
export function questionsFor(host: string): DnsQuestion[] {
  return [
    { type: "PTR", name: SERVICE },
    ...instanceNames(host).flatMap((name): DnsQuestion[] => [
      { type: "SRV", name: `${name}.${SERVICE}` },
      { type: "TXT", name: `${name}.${SERVICE}` },
    ]),
  ];
}

/** The IPv4 address that an answer gives for a name, in any letter case. */
export function addressIn(records: readonly DnsRecord[], name: string): string | undefined {
  for (const { type, name: of, ttl, data } of records) {
    if (type === "A" && ttl !== 0 && typeof data === "string" && normalize(of) === normalize(name)) {
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

/** Puts together what answers say of one machine. Only its exact names count, in any letter case. */
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
   * @param from The address that it came from: of several the likeliest to lead somewhere.
   */
  receive(records: readonly DnsRecord[], from: string): LookupStep {
    for (const record of records) {
      const name = normalize(record.name);
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
          instance.target = normalize(target);
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
      else {
        const grpc = flags.includes("grpc"), webrtc = flags.includes("webrtc");
        // What says neither speaks something else.
        if (grpc || webrtc) return { kind: "found", machine: { address, port, grpc, webrtc } };
      }
    }
    const fresh = questions.filter(({ type, name }) => !this.#asked.has(`${type} ${name}`));
    for (const { type, name } of fresh) this.#asked.add(`${type} ${name}`);
    return fresh.length === 0 ? { kind: "nothing" } : { kind: "ask", questions: fresh };
  }
}

/** What a machine says of itself: its names, where it listens, and what it speaks. */
export interface Advertisement {
  readonly names: readonly string[];
  readonly port: number;
  readonly webrtc: boolean;
  /** The IPv4 address on the network that is told. */
  readonly address: string;
}

/** Every record of an advertisement. With `goodbye`, those that take it back. */
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

/** The answers to a query: all that is asked for by name, and what whoever asks for that will want next. */
export function answersTo(
  questions: readonly { readonly type: string; readonly name: string }[],
  records: readonly DnsRecord[],
): { readonly answers: readonly DnsRecord[]; readonly additionals: readonly DnsRecord[] } {
  const answers = records.filter(({ type, name }) =>
    questions.some((question) =>
      normalize(question.name) === normalize(name) && (question.type === type || question.type === "ANY")
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

function normalize(name: string): string {
  return name.replace(/\.$/, "").toLowerCase();
}

/** The texts of a TXT record: bytes, or one string where there is one. */
function textsOf(data: unknown): readonly string[] {
  const texts = Array.isArray(data) ? data : [data];
  return texts.map((text) =>
    text instanceof Uint8Array ? new TextDecoder().decode(text) : typeof text === "string" ? text : ""
  );
}
