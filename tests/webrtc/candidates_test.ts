import assert from "node:assert/strict";
import library from "node-datachannel";
import { loadEngine, type Peer } from "../../lib/webrtc/peer.ts";
import { test } from "../harness.ts";
import { runProgram } from "../process/child.ts";
import { listener } from "./listener.ts";

/** Candidates that lead nowhere, as browsers, Rust and dual-stack machines send them among good ones. */
const USELESS = [
  "candidate:1 1 UDP 2122317823 4b9c1a5e-1a5e-4c53-8d1b-0a3f6fdb1f2c.local 50000 typ host",
  "candidate:2 1 UDP 2122252543 2001:db8::1 50000 typ host",
  "candidate:3 1 UDP 2122187007 fe80::1 50000 typ host",
  "candidate:4 1 UDP 2122121471 fe80::1%eth0 50000 typ host",
  "candidate:5 1 TCP 1518280447 192.0.2.1 9 typ host tcptype active",
  "candidate:6 1 UDP 1677721855 no-such-host.invalid 50000 typ srflx raddr 0.0.0.0 rport 0",
  "candidate:7 2 UDP 2122121471 192.0.2.1 50000 typ host",
  "candidate:nonsense",
  "candidate:",
  "",
];

test("Engine.createPeer() gives channel 0 alone a limit of retransmissions, which has the engine restart its timer", async () => {
  const { PeerConnection } = library;
  const limits: Record<string, number | undefined> = {};
  // Nothing else shows it but seconds of bulk data on a long path: neither side's engine tells.
  library.PeerConnection = class extends PeerConnection {
    override createDataChannel(
      ...[label, config]: Parameters<InstanceType<typeof PeerConnection>["createDataChannel"]>
    ) {
      limits[label] = config?.maxRetransmits;
      return super.createDataChannel(label, config);
    }
  };
  try {
    const peer = (await loadEngine()).createPeer({ iceServers: [] }, listener({}));
    peer.offer();
    await peer.close();
  } finally {
    library.PeerConnection = PeerConnection;
  }
  assert.deepEqual(limits, { data: 65_535, negotiation: undefined });
});

test("Peer.addCandidate() takes or refuses candidates of no use, and connects by the good ones", async () => {
  const engine = await loadEngine();
  const opened = Promise.withResolvers<void>();
  const failed = (error: unknown) => opened.reject(error);
  const state = (name: string) => {
    if (name === "failed") opened.reject(new Error("the connection failed"));
  };
  /** Gives candidates to a peer as soon as it has the other's description: they come in no certain order. */
  function receiver(peer: () => Peer) {
    let described = false;
    const early: [candidate: string, mid: string][] = [];
    const give = (candidate: string, mid: string) => {
      for (const useless of USELESS) assert.equal(typeof peer().addCandidate(useless, mid), "boolean");
      assert.ok(peer().addCandidate(candidate, mid));
    };
    return {
      described() {
        described = true;
        for (const [candidate, mid] of early) give(candidate, mid);
      },
      candidate(candidate: string, mid: string) {
        if (described) give(candidate, mid);
        else early.push([candidate, mid]);
      },
    };
  }
  const toCaller = receiver(() => caller);
  const toAnswerer = receiver(() => answerer);
  const caller: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        answerer.answer(sdp);
        toAnswerer.described();
      },
      localCandidate: toAnswerer.candidate,
      open: () => opened.resolve(),
      state,
      failed,
    }),
  );
  const answerer: Peer = engine.createPeer(
    { iceServers: [] },
    listener({
      localDescription(sdp) {
        caller.accept(sdp);
        toCaller.described();
      },
      localCandidate: toCaller.candidate,
      state,
      failed,
    }),
  );
  try {
    caller.offer();
    await opened.promise;
    assert.equal(caller.selectedPair()?.local.type, "host");
  } finally {
    await Promise.all([caller.close(), answerer.close()]);
  }
});

test("an offer that cannot be made for want of files fails its dial, and the process goes on", async () => {
  const { code, stdout, stderr } = await runProgram("tests/webrtc/no_files_program.ts", {
    within: ["sh", "-c", 'ulimit -n 128 && exec "$@"', "sh"],
  });
  assert.deepEqual([code, stdout], [0, "refused\nDialError in phase offer\nclosed\n"], stderr);
});
