import { isLinkLocal, isLoopback } from "../net/address.ts";
import { inNetwork, type InterfaceAddress, isNear, parseIp, parseNetwork } from "../net/ip.ts";
import { parseCandidate } from "./candidate.ts";

/*
 * A machine offers every address that it has: loopback, container bridges, VPNs. Most are unreachable from here. The
 * engine checks one pair each 50 ms and repeats unanswered checks, so checks of unreachable addresses delay the one
 * that counts.
 */

/** Delay of an unlikely candidate, in milliseconds, if a likely one is known. */
const LATE_MS = 150;

/** Time that an unlikely candidate waits for a likely one, in milliseconds. */
const SETTLE_MS = 10;

/** The chance that a candidate works from here; "here" is an address of this computer itself. */
export type Reachability = "likely" | "unlikely" | "here";

/** The network as this computer sees it. */
export interface Surroundings {
  /** Addresses of this computer. */
  readonly own: readonly InterfaceAddress[];
  /** The signaling server's host as dialed, a name or an address: the address that reaches it works. */
  readonly signalingHost: string;
}

/** Private networks (RFC 1918, RFC 6598, RFC 3927). */
const PRIVATE_V4 = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"].map(
  parseNetwork,
);

/** Networks whose addresses reach each other, whatever their subnets: overlays (RFC 6598), unicast (RFC 4291). */
const CONNECTED = ["100.64.0.0/10", "2000::/3"].map(parseNetwork);

/** Judges the address of a host candidate. */
export function reachability(address: string, { own, signalingHost }: Surroundings): Reachability {
  const ip = parseIp(address);
  // The engine resolves names itself.
  if (ip === undefined) return "likely";
  const same = (other: string) =>
    parseIp(other)?.value === ip.value && parseIp(other)?.version === ip.version;
  if (isLoopback(address) || own.some((one) => same(one.address))) return "here";
  if (same(signalingHost)) return "likely";
  // A link-local IPv6 address needs the zone of its link, which no candidate has.
  if (ip.version === 6 && isLinkLocal(address)) return "unlikely";
  if (own.some((one) => !isLoopback(one.address) && isNear(ip, one))) return "likely";
  const network = CONNECTED.find((one) => inNetwork(ip, one));
  if (network !== undefined) {
    return own.some((one) => inNetwork(parseIp(one.address)!, network)) ? "likely" : "unlikely";
  }
  return ip.version === 4 && !PRIVATE_V4.some((one) => inNetwork(ip, one)) ? "likely" : "unlikely";
}

/** A waiting candidate. */
interface Held {
  readonly line: string;
  readonly at: number;
  readonly reachability: "unlikely" | "here";
}

/**
 * Decides when the engine receives each of the machine's candidates, and with which priority. Likely ones are passed on
 * at once. Unlikely ones follow 150 ms later if a likely one is known, with a lower priority, so that the pair that
 * works is checked and nominated first; without a likely one they follow almost at once. An address of this computer is
 * passed on only while nothing shows that the machine is another computer.
 *
 * If signaling leads to this computer, nothing is delayed or changed.
 */
export class CandidateSchedule {
  readonly #surroundings: Surroundings;
  readonly #isSameComputer: boolean;
  #held: Held[] = [];
  #knowsLikely = false;
  /** True once a host candidate belongs to another computer. */
  #isElsewhere = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#isSameComputer = isLoopback(surroundings.signalingHost) ||
      reachability(surroundings.signalingHost, { ...surroundings, signalingHost: "" }) === "here";
  }

  /**
   * Takes a candidate of the machine.
   *
   * @param now Milliseconds on any clock that does not go back.
   * @returns What to tell the engine at once; undefined for nothing yet.
   */
  add(line: string, now: number): string | undefined {
    const candidate = parseCandidate(line);
    if (this.#isSameComputer || candidate?.protocol !== "udp") return line;
    const judged = candidate.type === "host" ? reachability(candidate.address, this.#surroundings) : "likely";
    if (judged !== "here" && candidate.type === "host") this.#isElsewhere = true;
    if (judged === "likely") {
      // A relay is no reason to delay direct paths.
      if (candidate.type !== "relay") this.#knowsLikely = true;
      return line;
    }
    this.#held.push({ line, at: now, reachability: judged });
    return undefined;
  }

  /** Takes the candidates whose time has come. */
  take(now: number): string[] {
    if (this.#isElsewhere) this.#held = this.#held.filter(({ reachability }) => reachability !== "here");
    const due = this.#held.filter((held) => this.#dueAt(held) <= now);
    this.#held = this.#held.filter((held) => !due.includes(held));
    return due.map(({ line }) => lowered(line));
  }

  /** The time to take the next; undefined when none waits. */
  get nextAt(): number | undefined {
    const times = this.#held.map((held) => this.#dueAt(held));
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #dueAt({ at, reachability }: Held): number {
    return at + (this.#knowsLikely && reachability === "unlikely" ? LATE_MS : SETTLE_MS);
  }
}

/**
 * Lowers the priority of a candidate below every other direct one, but above relays, whose type preference is 0 (RFC
 * 8445 §5.1.2.1).
 */
function lowered(line: string): string {
  return line.replace(
    /^(candidate:\S+ \d+ \S+) (\d+) /,
    (_match, head: string, priority: string) => `${head} ${2 ** 24 + Number(priority) % 2 ** 24} `,
  );
}
