import { type CandidatePair, hiddenName, withAddress } from "../core/ice/candidate.ts";
import { CandidateSchedule } from "../core/ice/candidate_schedule.ts";
import { promotionOf } from "../core/ice/promotion.ts";
import {
  candidatesOf,
  firstMediaId,
  icePassword,
  isLibdatachannel,
  withoutCandidates,
} from "../core/ice/session_description.ts";
import { localAddresses } from "../runtime/interfaces.ts";
import type { Peer } from "./peer.ts";

/**
 * Times that our candidates wait for the machine's first, and then for the engine to check it, in milliseconds. A check
 * of the machine's that arrives before that delays the engine's own by an interval of its pacing, which is 50 ms.
 */
const FIRST_MS = 50, CHECKING_MS = 10;

/** Delay of the promotion of the pair that works, in milliseconds: the engine may be about to nominate it. */
const PROMOTE_MS = 1;

/** Interval of the looks for a better pair than a relayed one, in milliseconds. */
const LOOK_AGAIN_MS = 50;

/** Longest interval of the looks for a pair that works, in milliseconds: a fiftieth of the time so far. */
const LOOK_MS = 20;

/** Passes the machine's candidates to the engine: which, when, and with which priority. */
export interface RemoteCandidates {
  /** Takes the answer: its description at once, and its candidates as if they had arrived separately. */
  accept(answer: string): void;
  addCandidate(line: string, mid: string): void;
  /** Stops passing candidates. */
  stop(): void;
}

/** Settings of the candidates of a machine. */
export interface RemoteCandidatesOptions {
  readonly peer: Peer;
  /** The signaling server's host as dialed. */
  readonly signalingHost: string;
  /** True if only our own relays are used: then it does not matter what can be reached from here. */
  readonly relayOnly: boolean;
  /** Addresses of this computer that the engine has found. */
  readonly gathered: Iterable<string>;
  /** Finds the address of a `.local` name; undefined if there is none. */
  readonly findAddress?: (name: string, signal: AbortSignal) => Promise<string | undefined>;
  /** Called with each candidate, and again with the address of its name. */
  readonly onCandidate: (line: string) => void;
  /** Called, perhaps more than once, when the machine may have our candidates. */
  readonly onChecking: () => void;
  /** Nominates a pair through our relay, for a machine with this ICE password. */
  readonly nominateThroughRelay: (pair: CandidatePair, password: string) => void;
}

/** Starts without any candidate. */
export function createRemoteCandidates(options: RemoteCandidatesOptions): RemoteCandidates {
  const { peer } = options;
  /** Names are looked up until the exchange ends. */
  const looking = new AbortController();
  let schedule: CandidateSchedule | undefined;
  let mid = "0";
  let next: ReturnType<typeof setTimeout> | undefined;
  /** True for a machine that waits for a nomination. */
  let promotes = false;
  let password: string | undefined;
  let promotion: ReturnType<typeof setTimeout> | undefined;
  let isChecking = false;
  let checking: ReturnType<typeof setTimeout> | undefined;

  /** Passes a candidate to the engine. */
  function pass(line: string, lineMid: string): void {
    peer.addCandidate(line, lineMid);
    if (isChecking || looking.signal.aborted) return;
    isChecking = true;
    clearTimeout(checking);
    checking = setTimeout(options.onChecking, CHECKING_MS);
  }

  function add(line: string, lineMid: string): void {
    options.onCandidate(line);
    if (looking.signal.aborted) return;
    const name = hiddenName(line);
    if (name !== undefined) return void uncover(line, name, lineMid);
    const now = schedule === undefined ? line : schedule.add(line, performance.now());
    if (now !== undefined) pass(now, lineMid);
    else takeLater();
  }

  /** Resolves a name for the engine, which has no multicast DNS. */
  async function uncover(line: string, name: string, lineMid: string): Promise<void> {
    const address = await options.findAddress?.(name, looking.signal).catch(() => undefined);
    if (address !== undefined) add(withAddress(line, name, address), lineMid);
  }

  function takeLater(): void {
    clearTimeout(next);
    const at = schedule?.nextAt;
    if (at === undefined || looking.signal.aborted) return;
    next = setTimeout(() => {
      for (const line of schedule?.take(performance.now()) ?? []) pass(line, mid);
      takeLater();
    }, Math.max(0, at - performance.now()));
  }

  /** Waits for a pair that works, to nominate it. */
  function awaitPair(since: number): void {
    const state = peer.iceState(), forMs = performance.now() - since;
    if (state === "connected") {
      options.onChecking();
      promotion = setTimeout(promote, PROMOTE_MS, performance.now());
    } else if (state !== "completed") {
      promotion = setTimeout(awaitPair, Math.min(forMs / 50, LOOK_MS), since);
    }
  }

  /** Nominates the pair that works, and looks for a direct one as long as that is relayed. */
  function promote(since: number): void {
    if (peer.iceState() !== "connected") return awaitPair(since);
    const pair = peer.selectedPair();
    const forMs = performance.now() - since, { relayOnly } = options;
    const chosen = pair === undefined ? undefined : promotionOf({ pair, forMs, relayOnly });
    if (chosen?.kind === "candidate") return void peer.addCandidate(chosen.line, mid);
    // Repeated, since it may get lost.
    if (chosen !== undefined && password !== undefined) options.nominateThroughRelay(pair!, password);
    promotion = setTimeout(promote, LOOK_AGAIN_MS, since);
  }

  return {
    accept(answer) {
      mid = firstMediaId(answer);
      password = icePassword(answer);
      // An answerer on our engine opens DTLS before a pair is nominated, and stays with a better pair once it is found.
      promotes = !isLibdatachannel(answer);
      if (!options.relayOnly) {
        const gathered = Array.from(options.gathered, (address) => ({ address, prefix: undefined }));
        schedule = new CandidateSchedule({
          own: [...localAddresses(), ...gathered],
          signalingHost: options.signalingHost,
        });
      }
      peer.accept(withoutCandidates(answer));
      if (promotes) {
        checking = setTimeout(options.onChecking, FIRST_MS);
        awaitPair(performance.now());
      } else options.onChecking();
      for (const line of candidatesOf(answer)) add(line, mid);
    },
    addCandidate: add,
    stop() {
      looking.abort(new DOMException("the connection is open, or given up", "AbortError"));
      clearTimeout(next);
      clearTimeout(promotion);
      clearTimeout(checking);
    },
  };
}
