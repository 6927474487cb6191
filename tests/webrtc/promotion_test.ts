import assert from "node:assert/strict";
import { loadEngine, type Peer } from "../../lib/webrtc/peer.ts";
import { createRemoteCandidates } from "../../lib/webrtc/remote_candidates.ts";
import { test } from "../harness.ts";
import { listener } from "./listener.ts";

/** The discard port: nothing answers there, and no error comes back. */
const NOWHERE = "candidate:9 1 UDP 2130706431 127.0.0.1 9 typ host";

/** The pair that is nominated between two engines, with a candidate before the good ones that leads nowhere. */
async function nominated(answerOf: (sdp: string) => string) {
  const engine = await loadEngine();
  const completed = Promise.withResolvers<void>();
  const early: [line: string, mid: string][] = [];
  let answered = false;
  const caller: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        answerer.answer(sdp);
      },
      // None for the answerer, whose checks would make the caller learn of it before it is told.
      iceState(state) {
        remote.iceState(state);
        if (state === "completed") completed.resolve();
        if (state === "failed") completed.reject(new Error("ICE failed"));
      },
      failed: completed.reject,
    }),
  );
  const remote = createRemoteCandidates({
    peer: caller,
    signalingHost: "localhost",
    relayOnly: false,
    gathered: [],
    findAddress: undefined,
    onCandidate() {},
  });
  // Server-reflexive, for its type to tell it from the same address promoted.
  const tell = (line: string, mid: string) =>
    remote.addCandidate(
      line.replace(/ \d+ (\S+ \d+) typ host/, " 1677721855 $1 typ srflx raddr 0.0.0.0 rport 0"),
      mid,
    );
  const answerer: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        remote.accept(answerOf(sdp.replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, "")));
        remote.addCandidate(NOWHERE, "0");
        answered = true;
        for (const [line, mid] of early) tell(line, mid);
      },
      localCandidate(line, mid) {
        if (answered) tell(line, mid);
        else early.push([line, mid]);
      },
      failed: completed.reject,
    }),
  );
  try {
    caller.offer();
    await completed.promise;
    return caller.selectedPair();
  } finally {
    remote.stop();
    await Promise.all([caller.close(), answerer.close()]);
  }
}

test("RemoteCandidates has the pair that works nominated, as a host candidate above all others", async () => {
  const pair = await nominated((sdp) => sdp.replace("o=rtc ", "o=- "));
  assert.equal(pair?.remote.type, "host");
  assert.notEqual(pair?.remote.port, 9);
});

test("RemoteCandidates promotes nothing for an answerer on the same engine, which waits for no nomination", async () => {
  const pair = await nominated((sdp) => sdp);
  assert.equal(pair?.remote.type, "srflx");
});
