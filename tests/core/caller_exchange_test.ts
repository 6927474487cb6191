import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { CallerExchange, type ExchangeInput } from "../../lib/core/ice/caller_exchange.ts";
import { encodeSessionDescription } from "../../lib/core/ice/session_description.ts";
import { type CallResponse, CallResponseSchema } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { test } from "../harness.ts";

const answer = encodeSessionDescription({ type: "answer", sdp: "v=0\r\n" });
const offer: ExchangeInput = { kind: "offer", sdp: "v=0\r\na=mid:data\r\n" };
const early: ExchangeInput = { kind: "localCandidate", candidate: "candidate:1", mid: "0" };
const late: ExchangeInput = { kind: "localCandidate", candidate: "candidate:2", mid: "0" };
const gathered: ExchangeInput = { kind: "gatheringComplete" };
const settled: ExchangeInput = { kind: "updatesSettled" };
const open: ExchangeInput = { kind: "channelOpen" };
const ended = (error?: ConnectError): ExchangeInput => ({ kind: "callEnded", error });

function response(uuid: string, stage: CallResponse["stage"]): ExchangeInput {
  return { kind: "response", response: create(CallResponseSchema, { uuid, stage }) };
}
function init(uuid = "u", sdp = answer): ExchangeInput {
  return response(uuid, {
    case: "init",
    value: { $typeName: "proto.rpc.webrtc.v1.CallResponseInitStage", sdp },
  });
}
function update(candidate: string, sdpMid?: string, uuid = "u"): ExchangeInput {
  return {
    kind: "response",
    response: create(CallResponseSchema, {
      uuid,
      stage: {
        case: "update",
        value: { candidate: { candidate, ...(sdpMid === undefined ? {} : { sdpMid }) } },
      },
    }),
  };
}

const exchanges: readonly [title: string, inputs: readonly ExchangeInput[], outputs: readonly string[]][] = [
  ["offers", [offer], ["call"]],
  ["queues candidates until the answer", [offer, early, init(), late], [
    "call",
    "accept",
    "sendCandidate candidate:1",
    "sendCandidate candidate:2",
  ]],
  ["is done when the channel opens", [offer, init(), open], ["call", "accept", "sendDone", "connected"]],
  ["is done when everything is gathered and answered", [offer, early, init(), gathered, settled, open], [
    "call",
    "accept",
    "sendCandidate candidate:1",
    "sendDone",
    "connected",
  ]],
  ["is done at once without candidates", [offer, gathered, init()], ["call", "accept", "sendDone"]],
  ["holds candidates, and that it is done, until they are released", [
    offer,
    { kind: "holdCandidates" },
    early,
    init(),
    late,
    gathered,
    { kind: "releaseCandidates" },
    { kind: "releaseCandidates" },
    settled,
  ], ["call", "accept", "sendCandidate candidate:1", "sendCandidate candidate:2", "sendDone"]],
  ["is done when candidates are released and there is none", [
    offer,
    { kind: "holdCandidates" },
    init(),
    gathered,
    { kind: "releaseCandidates" },
  ], ["call", "accept", "sendDone"]],
  ["accepts the answerer's candidates in any spelling", [
    offer,
    init(),
    update("candidate:9", ""),
    update("a=candidate:9", "0"),
    update("9 1 UDP"),
  ], [
    "call",
    "accept",
    "addCandidate candidate:9 data",
    "addCandidate candidate:9 0",
    "addCandidate candidate:9 1 UDP data",
  ]],
  ["fails on a second answer", [offer, init(), init()], [
    "call",
    "accept",
    "sendError",
    "failed signaling Internal",
  ]],
  ["fails on a candidate before the answer", [offer, update("candidate:9")], [
    "call",
    "failed signaling Internal",
  ]],
  ["fails on another uuid", [offer, init(), update("candidate:9", "0", "v")], [
    "call",
    "accept",
    "sendError",
    "failed signaling Internal",
  ]],
  ["fails on a response without a stage", [offer, response("u", { case: undefined })], [
    "call",
    "failed signaling Internal",
  ]],
  ["fails on an invalid answer", [offer, init("u", "e30=")], [
    "call",
    "sendError",
    "failed signaling InvalidArgument",
  ]],
  ["fails with the server's status", [offer, ended(new ConnectError("away", Code.NotFound))], [
    "call",
    "failed signaling NotFound",
  ]],
  ["fails when the server ends before the answer", [offer, ended()], [
    "call",
    "failed unanswered Unavailable",
  ]],
  ["goes on when the server ends after the answer", [offer, init(), ended(), open], [
    "call",
    "accept",
    "sendDone",
    "connected",
  ]],
  ["fails at the answerer when the server fails after the answer", [
    offer,
    init(),
    ended(new ConnectError("error from answerer", Code.Unavailable)),
  ], ["call", "accept", "sendError", "failed answerer Unavailable"]],
  ["tells the server when it gives up", [
    offer,
    init(),
    { kind: "giveUp", error: new ConnectError("late", Code.DeadlineExceeded) },
  ], ["call", "accept", "sendError", "failed connection DeadlineExceeded"]],
  ["reports nothing without a uuid", [
    offer,
    { kind: "giveUp", error: new ConnectError("late", Code.DeadlineExceeded) },
  ], ["call", "failed connection DeadlineExceeded"]],
  ["tells the server when it gives up after it was done, once", [
    offer,
    gathered,
    init(),
    { kind: "giveUp", error: new ConnectError("late", Code.Unavailable) },
    { kind: "giveUp", error: new ConnectError("later", Code.Unavailable) },
    open,
  ], ["call", "accept", "sendDone", "sendError", "failed connection Unavailable"]],
  ["has nothing more to report when the call ends with an error after it was done", [
    offer,
    gathered,
    init(),
    ended(new ConnectError("gone", Code.Unavailable)),
  ], ["call", "accept", "sendDone", "failed answerer Unavailable"]],
  ["ignores the server after the channel has opened", [
    offer,
    init(),
    open,
    ended(new ConnectError("gone", Code.Unavailable)),
    update("candidate:9"),
  ], ["call", "accept", "sendDone", "connected"]],
];

for (const [title, inputs, expected] of exchanges) {
  test(`CallerExchange ${title}`, () => {
    const exchange = new CallerExchange();
    const outputs = inputs.flatMap((input) => exchange.handle(input)).map((output) => {
      switch (output.kind) {
        case "sendCandidate":
          return `sendCandidate ${output.candidate}`;
        case "addCandidate":
          return `addCandidate ${output.candidate} ${output.mid}`;
        case "failed":
          return `failed ${output.reason} ${Code[output.error.code]}`;
        default:
          return output.kind;
      }
    });
    assert.deepEqual(outputs, expected);
  }, { pure: true });
}
