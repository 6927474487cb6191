import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type CallUpdateRequestSchema,
  type ICEServer,
  SignalingService,
} from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { CallerExchange, type ExchangeInput, type ExchangeOutput } from "../core/ice/caller_exchange.ts";
import { saysNoSignaler } from "../core/dial/signaling_status.ts";
import { ExchangeError } from "../core/ice/exchange_error.ts";
import { toWireStatus } from "../core/grpc/wire_status.ts";
import type { RemoteCandidates } from "./remote_candidates.ts";

/** The signaling server does not signal for this machine; a direct dial may do (protocol §2.1). */
export class NoSignalerError extends Error {
  override readonly name = "NoSignalerError";
}

/** Bound on the last `CallUpdate`, in milliseconds. It does not hold up the dial. */
const REPORT_TIMEOUT_MS = 2_000;

/** The signaling server's answer to OptionalWebRTCConfig. */
export interface SignalingConfig {
  readonly iceServers: readonly ICEServer[];
  /** The machine's engine, where the server names it: ours does, in a header. */
  readonly engine: string | undefined;
}

/** Names the machine's WebRTC engine in the answer to OptionalWebRTCConfig. */
export const ENGINE_HEADER = "viam-dial-engine";

/**
 * Asks the signaling server for ICE servers.
 *
 * @throws {NoSignalerError} when it does not signal for this host
 */
export async function fetchSignalingConfig(
  transport: Transport,
  host: string,
  signal: AbortSignal,
): Promise<SignalingConfig> {
  try {
    let engine: string | undefined;
    const answer = await createClient(SignalingService, transport).optionalWebRTCConfig({}, {
      headers: { "rpc-host": host },
      signal,
      onHeader: (headers) => engine = headers.get(ENGINE_HEADER) ?? undefined,
    });
    return { iceServers: answer.config?.additionalIceServers ?? [], engine };
  } catch (error) {
    const failure = ConnectError.from(error);
    if (saysNoSignaler(failure)) throw new NoSignalerError(failure.rawMessage, { cause: failure });
    throw error;
  }
}

type Update = Required<MessageInitShape<typeof CallUpdateRequestSchema>>["update"];

/** A running exchange. */
export interface SignalingExchange {
  /** Takes an event of the peer connection. */
  handle(input: ExchangeInput): void;
  /** Resolves when the data channel is open; rejects with an `ExchangeError`. */
  readonly connected: Promise<void>;
  /** Resolves when the signaling server has been told, and nothing is under way any more. Never rejects. */
  readonly settled: Promise<void>;
}

/**
 * Runs a caller's exchange over a transport to the signaling server.
 *
 * @param transport Has the token for that server.
 * @param host The machine's name there.
 * @param peer Takes the machine's answer and candidates.
 * @param onAnswer Called with the answer, once the peer connection has it.
 */
export function startExchange(
  transport: Transport,
  host: string,
  peer: Pick<RemoteCandidates, "accept" | "addCandidate">,
  onAnswer: (sdp: string) => void,
): SignalingExchange {
  const client = createClient(SignalingService, transport);
  const headers = { "rpc-host": host };
  const exchange = new CallerExchange();
  const connected = Promise.withResolvers<void>();
  const settled = Promise.withResolvers<void>();
  connected.promise.catch(() => {});
  const stop = new AbortController();
  /** Candidates on their way. */
  const updates = new Set<Promise<unknown>>();
  let finished = false;

  function handle(input: ExchangeInput): void {
    for (const output of exchange.handle(input)) perform(output);
  }

  function perform(output: ExchangeOutput): void {
    switch (output.kind) {
      case "call":
        void call(output.sdp);
        return;
      case "accept":
        peer.accept(output.sdp);
        return onAnswer(output.sdp);
      case "addCandidate":
        return peer.addCandidate(output.candidate, output.mid);
      case "sendCandidate": {
        const { uuid, candidate, mid } = output;
        const value = { candidate, sdpMid: mid, sdpmLineIndex: 0 };
        const update = client.callUpdate(
          { uuid, update: { case: "candidate", value } },
          { headers, signal: stop.signal },
          // A candidate that does not arrive is no failure: others may (protocol §3.4, rule 4).
        ).catch(() => {}).then(() => {
          updates.delete(update);
          if (updates.size === 0) handle({ kind: "updatesSettled" });
        });
        updates.add(update);
        return;
      }
      case "sendDone":
        return report(output.uuid, { case: "done", value: true });
      case "sendError":
        return report(output.uuid, { case: "error", value: { ...toWireStatus(output.error), details: [] } });
      case "connected":
        connected.resolve();
        return finish();
      case "failed":
        connected.reject(new ExchangeError(output.reason, output.error));
        return finish();
    }
  }

  let reporting: Promise<unknown> = Promise.resolve();

  /** The dial does not wait for this, and its failure is not the dial's. */
  function report(uuid: string, update: Update): void {
    const options = { headers, timeoutMs: REPORT_TIMEOUT_MS };
    reporting = client.callUpdate({ uuid, update }, options).catch(() => {});
  }

  function finish(): void {
    if (finished) return;
    finished = true;
    void reporting.then(() => {
      stop.abort(new ConnectError("the exchange is over", Code.Canceled));
      return Promise.all(updates);
    }).then(() => settled.resolve());
  }

  async function call(sdp: string): Promise<void> {
    try {
      for await (const response of client.call({ sdp }, { headers, signal: stop.signal })) {
        handle({ kind: "response", response });
      }
      handle({ kind: "callEnded", error: undefined });
    } catch (error) {
      handle({ kind: "callEnded", error: ConnectError.from(error) });
    }
  }

  return { handle, connected: connected.promise, settled: settled.promise };
}
