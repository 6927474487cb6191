import {
  addressIn,
  type DnsQuestion,
  type FoundMachine,
  MdnsLookup,
  questionsFor,
} from "../core/net/mdns_records.ts";
import { abortable } from "../runtime/abortable.ts";
import { type MdnsInterface, type MdnsMessage, openMdns } from "./mdns.ts";

/** Times of the queries, in milliseconds from the start: answers get lost, and machines may take their time. */
const ASK_AT_MS = [0, 120, 400, 900];

/** Time for an answer, in milliseconds; goutils allows up to 2,000, Rust 1,500. */
const LOOKUP_TIMEOUT_MS = 1_500;

/**
 * Looks for a machine on the local network (protocol §2.6).
 *
 * @param host The name as dialed. Only this name matches, with dots or with dashes.
 * @returns Undefined when no machine answers in time.
 * @throws the signal's reason
 */
export async function findOnLocalNetwork(
  host: string,
  signal: AbortSignal,
): Promise<FoundMachine | undefined> {
  const lookup = new MdnsLookup(host);
  return await ask(questionsFor(host), signal, ({ records, from }, via, found) => {
    const step = lookup.receive(records, from);
    if (step.kind === "found") found(step.machine);
    else if (step.kind === "ask") via.ask(step.questions);
  });
}

/**
 * Resolves a name on the local network.
 *
 * @param name `something.local`.
 * @returns An IPv4 address; undefined when nothing answers in time.
 * @throws the signal's reason
 */
export async function findAddress(name: string, signal: AbortSignal): Promise<string | undefined> {
  return await ask<string>([{ type: "A", name }], signal, ({ records }, _via, found) => {
    const address = addressIn(records, name);
    if (address !== undefined) found(address);
  });
}

/** Asks until an answer suffices, or the time is up. */
async function ask<T>(
  questions: readonly DnsQuestion[],
  signal: AbortSignal,
  read: (message: MdnsMessage, via: MdnsInterface, found: (what: T) => void) => void,
): Promise<T | undefined> {
  signal.throwIfAborted();
  const found = Promise.withResolvers<T | undefined>();
  const sockets = await openMdns({ response: (message, via) => read(message, via, found.resolve) }, signal);
  const timers = ASK_AT_MS.map((at) =>
    setTimeout(() => {
      for (const via of sockets.interfaces) via.ask(questions);
    }, at)
  );
  timers.push(setTimeout(() => found.resolve(undefined), LOOKUP_TIMEOUT_MS));
  if (sockets.interfaces.length === 0) found.resolve(undefined);
  try {
    return await abortable(found.promise, signal);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    // Nothing waits for the close.
    void sockets.close();
  }
}
