import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  type AnswerRequestSchema,
  type AnswerResponse,
  type CallResponseSchema,
  type ReportConnectionMetadataRequest,
  SignalingService,
} from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import {
  decodeSessionDescription,
  encodeSessionDescription,
  isByThisLibrary,
  withoutCandidates,
} from "../core/ice/session_description.ts";
import type { IceServer } from "../core/ice/ice.ts";
import { fromWireStatus, toWireStatus } from "../core/grpc/wire_status.ts";
import { ENGINE_HEADER } from "../webrtc/signaling_client.ts";
import type { SignalingFaults } from "./faults.ts";
import { createQueue } from "../runtime/queue.ts";
import type { Routes } from "../server/routes.ts";
import type { SignalingQueue, TakenOffer, TakeOffer } from "./signaling_queue.ts";

/** Settings of a signaling server. */
export interface SignalingOptions {
  readonly queue: SignalingQueue;
  /** The served hosts; undefined for any. */
  readonly hosts: readonly string[] | undefined;
  readonly iceServers: readonly IceServer[];
  readonly faults: () => SignalingFaults;
  /** The engine that answers here, so that callers can adapt to it; undefined if others may answer, too. */
  readonly engine?: string | undefined;
  /** Called with every report of a dial. */
  readonly onReport: (report: ReportConnectionMetadataRequest) => void;
  /** Lifetime of an offer, in milliseconds. */
  readonly offerDeadlineMs?: number;
  /** Time for the channel to open at the answerer when the caller of an answered offer has hung up, in milliseconds. */
  readonly hungUpMs?: number;
  /** Interval of heartbeats to a waiting answerer, in milliseconds. */
  readonly heartbeatMs?: number;
}

type CallResponse = MessageInitShape<typeof CallResponseSchema>;
type AnswerRequest = MessageInitShape<typeof AnswerRequestSchema>;

/** Most hosts that one call may name (protocol §5.1). */
const MAX_HOSTS = 5;

/** The times of goutils (protocol §2.9), in milliseconds. */
const OFFER_DEADLINE_MS = 10_000, HEARTBEAT_MS = 15_000;

/**
 * Time for the channel to open on the answerer's side once it is open on the caller's, in milliseconds: a round trip, or
 * one or two retransmissions of SCTP.
 */
const HUNG_UP_MS = 3_000;

const OFFLINE = "host appears to be offline; ensure machine is online and try again";

/** The signaling service of a machine, or of a stand-in for the cloud (protocol §5.1). */
export function signalingRoutes(options: SignalingOptions): Routes {
  const { queue, faults, hosts: served } = options;
  const { offerDeadlineMs = OFFER_DEADLINE_MS, hungUpMs = HUNG_UP_MS, heartbeatMs = HEARTBEAT_MS } = options;

  function hostsOf(context: HandlerContext): readonly string[] {
    const value = context.requestHeader.get("rpc-host");
    if (value === null) throw unknown("expected rpc-host to be set in metadata");
    const hosts = value.split(",").map((host) => host.trim());
    if (hosts.length > MAX_HOSTS) throw unknown("too many rpc-host");
    if (hosts.includes("")) throw unknown("expected non-empty rpc-host");
    if (served !== undefined && hosts.some((host) => !served.includes(host))) {
      throw new ConnectError("host not preconfigured", Code.InvalidArgument);
    }
    return hosts;
  }

  function hostOf(context: HandlerContext): string {
    const [host, ...others] = hostsOf(context);
    if (host === undefined || others.length > 0) throw unknown("expected 1 rpc-host");
    return host;
  }

  async function* call(sdp: string, context: HandlerContext): AsyncGenerator<CallResponse> {
    const host = hostOf(context);
    const fault = faults();
    if (fault.offline === true) throw new ConnectError(OFFLINE, Code.NotFound);
    if (fault.rejectOffers !== undefined) throw unknown(`error from answerer: ${fault.rejectOffers}`);
    const uuid = crypto.randomUUID();
    const responses = createQueue<CallResponse>();
    const respond = (stage: NonNullable<CallResponse["stage"]>) => responses.push({ uuid, stage });
    // The deadline belongs to the offer, not to the call: the answerer may still be working when the caller is gone.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const expireIn = (milliseconds: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => queue.expire(uuid), milliseconds);
    };
    const gone = () => {
      expireIn(hungUpMs);
      queue.callerGone(uuid, reportsBeforeHangingUp(sdp));
      responses.end(context.signal.reason);
    };
    const forget = () => context.signal.removeEventListener("abort", gone);
    expireIn(offerDeadlineMs);
    try {
      const offered = fault.noCandidates === true ? withoutOfferCandidates(sdp) : sdp;
      queue.offer({ uuid, host, sdp: offered }, {
        answered: (answer) => respond({ case: "init", value: { sdp: answer } }),
        candidate(candidate) {
          if (faults().noCandidates !== true) respond({ case: "update", value: { candidate } });
        },
        ended: (error) => responses.end(error),
        closed() {
          clearTimeout(timer);
          forget();
        },
      }, fault.neverAnswer === true);
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
    if (context.signal.aborted) gone();
    else context.signal.addEventListener("abort", gone, { once: true });
    try {
      yield* responses;
    } finally {
      forget();
    }
  }

  async function* answer(
    answers: AsyncIterable<AnswerResponse>,
    context: HandlerContext,
  ): AsyncGenerator<AnswerRequest> {
    const hosts = hostsOf(context);
    const requests = createQueue<AnswerRequest>();
    const taken = Promise.withResolvers<TakenOffer>();
    let offer: TakenOffer | undefined;
    let isAnswererDone = false, isCallerDone = false;

    const push = (uuid: string, stage: NonNullable<AnswerRequest["stage"]>) => requests.push({ uuid, stage });
    const settle = () => {
      if (isAnswererDone && isCallerDone) requests.end();
    };
    let heartbeat: ReturnType<typeof setInterval> | undefined;
    let stopWaiting = () => {};

    const take: TakeOffer = (next) => {
      clearInterval(heartbeat);
      offer = next;
      const { uuid, sdp } = next;
      const optionalConfig = { additionalIceServers: options.iceServers.map(wireIceServer) };
      const deadline = timestampFromMs(Date.now() + offerDeadlineMs);
      push(uuid, { case: "init", value: { sdp, optionalConfig, deadline } });
      taken.resolve(next);
      return {
        candidate: (candidate) => push(uuid, { case: "update", value: { candidate } }),
        done() {
          isCallerDone = true;
          push(uuid, { case: "done", value: {} });
          settle();
        },
        failed(error) {
          if (isAnswererDone) return requests.end();
          push(uuid, { case: "error", value: { status: toWireStatus(error) } });
          push(uuid, { case: "done", value: {} });
          requests.end(error.code === Code.DeadlineExceeded ? error : undefined);
        },
      };
    };

    /** Ends the call of a misbehaving answerer, and the call of its caller. */
    const abort = (error: ConnectError) => {
      offer?.failed(error);
      requests.end(error);
    };

    async function listen(): Promise<void> {
      for await (const { uuid, stage } of answers) {
        const { uuid: expected, answered, candidate, done, failed } = await taken.promise;
        if (uuid !== expected) {
          throw unknown(`uuid mismatch; have=${JSON.stringify(uuid)} want=${JSON.stringify(expected)}`);
        }
        switch (stage.case) {
          case "init":
            answered(stage.value.sdp);
            break;
          case "update":
            if (stage.value.candidate !== undefined) candidate(stage.value.candidate);
            break;
          case "done":
            done();
            isAnswererDone = true;
            settle();
            break;
          case "error":
            isAnswererDone = true;
            failed(fromWireStatus(stage.value.status) ?? unknown("the answerer gave no reason"));
            requests.end();
            break;
          default:
            throw unknown(`unexpected stage ${stage.case}`);
        }
      }
      if (!isAnswererDone) abort(new ConnectError("the answerer has hung up", Code.Unavailable));
    }

    const gone = () => abort(new ConnectError("the answerer is gone", Code.Unavailable));
    try {
      if (context.requestHeader.get("heartbeats-allowed") === "true") {
        heartbeat = setInterval(() => push("", { case: "heartbeat", value: {} }), heartbeatMs);
      }
      stopWaiting = queue.wait(hosts, take);
      listen().catch((error) => abort(ConnectError.from(error)));
      if (context.signal.aborted) gone();
      else context.signal.addEventListener("abort", gone, { once: true });
      yield* requests;
    } finally {
      context.signal.removeEventListener("abort", gone);
      clearInterval(heartbeat);
      stopWaiting();
    }
  }

  return (router) => {
    router.service(SignalingService, {
      call: ({ sdp }, context) => call(sdp, context),
      callUpdate({ uuid, update }, context) {
        hostOf(context);
        switch (update.case) {
          case "candidate":
            if (faults().noCandidates !== true) queue.callerCandidate(uuid, update.value);
            break;
          case "done":
            queue.callerDone(uuid);
            break;
          case "error":
            queue.callerFailed(uuid, fromWireStatus(update.value) ?? unknown("the caller gave no reason"));
            break;
          default:
            throw unknown(`unexpected stage ${update.case}`);
        }
        return {};
      },
      answer,
      optionalWebRTCConfig(_request, context) {
        if (faults().noConfig === true) throw new ConnectError("Unimplemented", Code.Unimplemented);
        hostsOf(context);
        if (options.engine !== undefined) context.responseHeader.set(ENGINE_HEADER, options.engine);
        return { config: { additionalIceServers: options.iceServers.map(wireIceServer) } };
      },
      reportConnectionMetadata(report) {
        options.onReport(report);
        return {};
      },
    });
  };
}

function unknown(message: string): ConnectError {
  return new ConnectError(message, Code.Unknown);
}

/** True if a caller reports that it is done before it hangs up. This library does; others may hang up at once. */
function reportsBeforeHangingUp(offer: string): boolean {
  try {
    return isByThisLibrary(decodeSessionDescription(offer, "offer").sdp);
  } catch {
    return false; // An invalid offer is refused by its answerer.
  }
}

function withoutOfferCandidates(encoded: string): string {
  const { type, sdp } = decodeSessionDescription(encoded, "offer");
  return encodeSessionDescription({ type, sdp: withoutCandidates(sdp) });
}

function wireIceServer(server: IceServer): { urls: string[]; username: string; credential: string } {
  const { urls, username = "", credential = "" } = server;
  return { urls: [urls].flat(), username, credential };
}
