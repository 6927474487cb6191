import assert from "node:assert/strict";
import { loadEngine, type Peer } from "../../lib/webrtc/peer.ts";
import { createRemoteCandidates } from "../../lib/webrtc/remote_candidates.ts";
import { eventually } from "../dial/leaks.ts";
import { test } from "../harness.ts";
import { listener } from "./listener.ts";

/** The discard port: nothing answers there, and no error comes back. */
const NOWHERE = "candidate:9 1 UDP 2130706431 127.0.0.1 9 typ host";

/**
 * The pair that is nominated between two engines. The caller is told of one candidate, which leads nowhere; then the
 * answerer's checks reach it from a peer-reflexive address, a type that a promoted candidate cannot have.
 */
async function nominated(answerOf: (sdp: string) => string) {
  const engine = await loadEngine();
  const failed = Promise.withResolvers<never>();
  const early: [line: string, mid: string][] = [];
  let isAnswered = false;
  const caller: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        answerer.answer(sdp);
      },
      localCandidate(line, mid) {
        if (isAnswered) answerer.addCandidate(line, mid);
        else early.push([line, mid]);
      },
      failed: failed.reject,
    }),
  );
  const remote = createRemoteCandidates({
    peer: caller,
    signalingHost: "localhost",
    relayOnly: false,
    gathered: [],
    onCandidate() {},
    onChecking() {},
    nominateThroughRelay() {},
  });
  const answerer: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        remote.accept(answerOf(sdp.replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, "")));
        remote.addCandidate(NOWHERE, "0");
        isAnswered = true;
        for (const [line, mid] of early) answerer.addCandidate(line, mid);
      },
      failed: failed.reject,
    }),
  );
  try {
    caller.offer();
    const completed = eventually(
      () => caller.iceState() === "completed",
      () => `ICE is ${caller.iceState()}`,
    );
    await Promise.race([completed, failed.promise]);
    return caller.selectedPair();
  } finally {
    remote.stop();
    await Promise.all([caller.close(), answerer.close()]);
  }
}

test("RemoteCandidates promotes the pair that works, above one that is pending", async () => {
  const pair = await nominated((sdp) => sdp.replace("o=rtc ", "o=- "));
  assert.equal(pair?.remote.type, "srflx");
  assert.notEqual(pair?.remote.port, 9);
});

test("RemoteCandidates promotes nothing for an answerer on libdatachannel, which waits for no nomination", async () => {
  const pair = await nominated((sdp) => sdp);
  assert.equal(pair?.remote.type, "prflx");
});
