import { Code, ConnectError } from "@connectrpc/connect";
import type { CallResponse, ICECandidate } from "../../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import type { ExchangeFailure } from "./exchange_error.ts";
import { decodeSessionDescription, encodeSessionDescription, firstMediaId } from "./session_description.ts";

/** Events of a caller's exchange with the signaling server. */
export type ExchangeInput =
  | { readonly kind: "offer"; readonly sdp: string }
  | { readonly kind: "localCandidate"; readonly candidate: string; readonly mid: string }
  /** Our candidates wait, until they are released. */
  | { readonly kind: "holdCandidates" }
  | { readonly kind: "releaseCandidates" }
  | { readonly kind: "gatheringComplete" }
  | { readonly kind: "response"; readonly response: CallResponse }
  /** The `Call` stream ended: well, or with an error. */
  | { readonly kind: "callEnded"; readonly error: ConnectError | undefined }
  /** Every candidate that was sent has been answered. */
  | { readonly kind: "updatesSettled" }
  | { readonly kind: "channelOpen" }
  /** The dial is given up: deadline, cancellation, the peer connection failed. */
  | { readonly kind: "giveUp"; readonly error: ConnectError };

/** The next steps of an exchange. */
export type ExchangeOutput =
  | { readonly kind: "call"; readonly sdp: string }
  | { readonly kind: "accept"; readonly sdp: string }
  | { readonly kind: "addCandidate"; readonly candidate: string; readonly mid: string }
  | {
    readonly kind: "sendCandidate";
    readonly uuid: string;
    readonly candidate: string;
    readonly mid: string;
  }
  | { readonly kind: "sendDone"; readonly uuid: string }
  | { readonly kind: "sendError"; readonly uuid: string; readonly error: ConnectError }
  | { readonly kind: "connected" }
  | { readonly kind: "failed"; readonly reason: ExchangeFailure; readonly error: ConnectError };

/**
 * The caller's side of signaling (protocol §3.1, §3.4): trickle ICE with the answerer through the server. Its
 * state moves only by `handle`; it does no I/O.
 */
export class CallerExchange {
  #uuid: string | undefined;
  #answered = false;
  #isHolding = false;
  /** Our candidates that cannot or must not be sent yet. */
  #early: { readonly candidate: string; readonly mid: string }[] = [];
  #mid = "0";
  #gathered = false;
  #pendingUpdates = false;
  #reported = false;
  #over = false;

  /** Takes an event and returns the steps to perform, in order. */
  handle(input: ExchangeInput): ExchangeOutput[] {
    if (this.#over) return [];
    switch (input.kind) {
      case "offer":
        this.#mid = firstMediaId(input.sdp);
        return [{ kind: "call", sdp: encodeSessionDescription({ type: "offer", sdp: input.sdp }) }];
      case "localCandidate":
        this.#early.push(input);
        return this.#sendCandidates();
      case "holdCandidates":
        this.#isHolding = true;
        return [];
      case "releaseCandidates":
        this.#isHolding = false;
        return [...this.#sendCandidates(), ...this.#doneIfSettled()];
      case "gatheringComplete":
        this.#gathered = true;
        return this.#doneIfSettled();
      case "updatesSettled":
        this.#pendingUpdates = false;
        return this.#doneIfSettled();
      case "response":
        return this.#response(input.response);
      case "callEnded":
        return this.#callEnded(input.error);
      case "channelOpen":
        this.#over = true;
        return [...this.#done(), { kind: "connected" }];
      case "giveUp":
        return this.#fail("connection", input.error);
    }
  }

  #response(response: CallResponse): ExchangeOutput[] {
    const { uuid, stage } = response;
    if (this.#uuid !== undefined && uuid !== this.#uuid) {
      return this.#fail("signaling", protocolError(`uuid mismatch; have=${this.#uuid} want=${uuid}`));
    }
    switch (stage.case) {
      case "init": {
        if (this.#answered) return this.#fail("signaling", protocolError("got init stage more than once"));
        this.#uuid = uuid;
        this.#answered = true;
        let answer;
        try {
          answer = decodeSessionDescription(stage.value.sdp, "answer");
        } catch (error) {
          return this.#fail("signaling", ConnectError.from(error));
        }
        return [
          { kind: "accept", sdp: answer.sdp },
          ...this.#sendCandidates(),
          ...this.#doneIfSettled(),
        ];
      }
      case "update": {
        if (!this.#answered) {
          return this.#fail("signaling", protocolError("got update stage before init stage"));
        }
        const candidate = stage.value.candidate;
        return candidate === undefined ? [] : [this.#remoteCandidate(candidate)];
      }
      default:
        return this.#fail("signaling", protocolError("got a response without a stage"));
    }
  }

  #remoteCandidate(candidate: ICECandidate): ExchangeOutput {
    const mid = candidate.sdpMid === undefined || candidate.sdpMid === "" ? this.#mid : candidate.sdpMid;
    const line = candidate.candidate.replace(/^a=/, "");
    return {
      kind: "addCandidate",
      candidate: line.startsWith("candidate:") ? line : `candidate:${line}`,
      mid,
    };
  }

  #callEnded(error: ConnectError | undefined): ExchangeOutput[] {
    if (error !== undefined) return this.#fail(this.#answered ? "answerer" : "signaling", error);
    // A stream that ends after the answer has served its purpose; the channel may open yet.
    if (this.#answered) return [];
    // goutils loses an answer that is still in its queue when its answerer is done.
    return this.#fail(
      "unanswered",
      new ConnectError("the signaling server ended the call before there was an answer", Code.Unavailable),
    );
  }

  #sendCandidates(): ExchangeOutput[] {
    const uuid = this.#uuid;
    if (uuid === undefined || this.#isHolding || this.#early.length === 0) return [];
    this.#pendingUpdates = true;
    return this.#early.splice(0).map(({ candidate, mid }) => ({
      kind: "sendCandidate",
      uuid,
      candidate,
      mid,
    }));
  }

  /** `done` goes out when everything found has been sent and answered (protocol §3.4, rule 6). */
  #doneIfSettled(): ExchangeOutput[] {
    const isSettled = this.#gathered && this.#answered && !this.#isHolding && !this.#pendingUpdates;
    return isSettled ? this.#done() : [];
  }

  #done(): ExchangeOutput[] {
    if (this.#reported || this.#uuid === undefined) return [];
    this.#reported = true;
    return [{ kind: "sendDone", uuid: this.#uuid }];
  }

  #fail(reason: ExchangeFailure, error: ConnectError): ExchangeOutput[] {
    this.#over = true;
    const outputs: ExchangeOutput[] = [];
    // Without a uuid there is nobody to tell yet. Our machines want to know of an attempt that is given up after `done`,
    // too (protocol §3.4, rule 7).
    if (this.#uuid !== undefined && (!this.#reported || reason === "connection")) {
      this.#reported = true;
      outputs.push({ kind: "sendError", uuid: this.#uuid, error });
    }
    outputs.push({ kind: "failed", reason, error });
    return outputs;
  }
}

function protocolError(reason: string): ConnectError {
  return new ConnectError(`the signaling server broke the protocol: ${reason}`, Code.Internal);
}
