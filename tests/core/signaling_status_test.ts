import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { saysNoSignaler, saysOffline } from "../../lib/core/dial/signaling_status.ts";
import { test } from "../harness.ts";

// As goutils words them (rpc/wrtc_call_queue_mongodb.go, rpc/wrtc_signaling_server.go), and what only looks like it.
const statuses: readonly [code: Code, text: string, meaning: "offline" | "no signaler" | undefined][] = [
  [Code.NotFound, "host appears to be offline; ensure machine is online and try again", "offline"],
  [Code.NotFound, "host appears to be offline", "offline"],
  [Code.NotFound, "no such call", undefined],
  [Code.Unavailable, "host appears to be offline", undefined],
  [Code.InvalidArgument, "host not preconfigured", "no signaler"],
  [Code.InvalidArgument, "host not preconfigured: x", undefined],
  [Code.NotFound, "host not preconfigured", undefined],
  [Code.Unimplemented, "unknown service proto.rpc.webrtc.v1.SignalingService", "no signaler"],
];
for (const [code, text, meaning] of statuses) {
  test(`a signaling server's ${Code[code]} "${text}" says ${meaning ?? "nothing of the machine"}`, () => {
    const status = new ConnectError(text, code);
    assert.equal(saysOffline(status), meaning === "offline");
    assert.equal(saysNoSignaler(status), meaning === "no signaler");
  }, { pure: true });
}
