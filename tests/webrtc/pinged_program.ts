/**
 * Two peers, of which one pings the other: while garbage is collected; when the other has just closed and this program
 * has not heard of it, so that the engine never reports the end of the ping; or when the other closes before it takes
 * the ping, and garbage is collected before the last peer is closed. Run by pinged_test.ts.
 *
 * pinged_program.ts "collecting garbage"|"closed"|"untaken"
 */

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { loadEngine, type Peer, type PeerListener } from "../../lib/webrtc/peer.ts";
import { listener } from "./listener.ts";

const collect: () => void = "Bun" in globalThis
  ? () => (globalThis as unknown as { Bun: { gc(force: boolean): void } }).Bun.gc(true)
  : (globalThis as unknown as { gc(): void }).gc;

const engine = await loadEngine();

/** Gives the other peer candidates once it is described: they come in no certain order. */
function receiver(peer: () => Peer) {
  let early: [candidate: string, mid: string][] | undefined = [];
  return {
    described() {
      for (const [candidate, mid] of early ?? []) peer().addCandidate(candidate, mid);
      early = undefined;
    },
    candidate(candidate: string, mid: string) {
      if (early === undefined) peer().addCandidate(candidate, mid);
      else early.push([candidate, mid]);
    },
  };
}

function peerOf(own: Partial<PeerListener>): Peer {
  const failed = (error: unknown) => {
    throw error;
  };
  return engine.createPeer({ iceServers: [] }, listener({ failed, ...own }));
}

const opened = Promise.withResolvers<void>(), ready = Promise.withResolvers<void>();
const toPinged = receiver(() => pinged), toPinging = receiver(() => pinging);
const pinged: Peer = peerOf({
  localDescription(sdp) {
    pinging.answer(sdp);
    toPinging.described();
  },
  localCandidate: toPinging.candidate,
  open: opened.resolve,
});
const pinging: Peer = peerOf({
  localDescription(sdp) {
    pinged.accept(sdp);
    toPinged.described();
  },
  localCandidate: toPinged.candidate,
  open: ready.resolve,
});
pinged.offer();
await Promise.all([opened.promise, ready.promise]);
/** Keeps this program from hearing of anything. */
function block(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

if (process.argv[2] === "closed") {
  void pinged.close();
  block(500);
  void pinging.ping();
} else if (process.argv[2] === "untaken") {
  for (let count = 0; count < 20; count++) void pinging.ping();
  block(200);
  await pinged.close();
  for (let count = 0; count < 5; count++) {
    await sleep(10);
    collect();
  }
} else {
  for (let count = 0; count < 60; count++) {
    await Promise.race([pinging.ping(), sleep(1_000)]); // an answer to one may be lost (see ping)
    collect();
    await sleep(10); // a machine does not ask again at once
  }
}
await Promise.all([pinged.close(), pinging.close()]);
console.log("closed");
