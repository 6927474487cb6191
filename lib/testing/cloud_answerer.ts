import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type AnswerRequest,
  type AnswerRequestInitStage,
  type AnswerResponseSchema,
  SignalingService,
} from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { authenticate, renewedAuthorization } from "../rpc/authentication.ts";
import { targetOf } from "../core/dial/plan.ts";
import { parseAddress } from "../core/net/address.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { fromWireStatus, toWireStatus } from "../core/grpc/wire_status.ts";
import type { Credentials } from "../options/credentials.ts";
import { urlOf } from "../core/net/target.ts";
import { createHttp2Carrier } from "../direct/http2_carrier.ts";
import { createCarrierTransport } from "../rpc/transport.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import type { Answerer } from "./answerer.ts";
import { createQueue, type Queue } from "../runtime/queue.ts";
import type { TakenOfferListener } from "./signaling_queue.ts";
import { wait } from "../runtime/wait.ts";

/** A signaling server that brings a machine its callers. */
export interface OutsideSignaling {
  /** `host:port`, which means TLS, or a URL. */
  readonly address: string;
  /** The machine's names there; 1 to 5. */
  readonly hosts: readonly string[];
  /** The entity to authenticate as there, and its secret. */
  readonly credentials?: Credentials & { readonly entity: string };
  /** Authorities that the server's certificate may be signed by, PEM; the system's by default. */
  readonly ca?: string;
}

/** Offers answered at a time, as by a real machine (protocol §5.2). */
const WORKERS = 2;

/** Pause of a worker after a failure, in milliseconds. A real machine pauses for a second, which outages would add to. */
const RETRY_MS = 300;

/** Time in which the server ends the stream of an offer that has failed, in milliseconds. */
const END_MS = 1_000;

/** An answerer's own time for an offer, in milliseconds, and the least it takes (protocol §2.9). */
const ATTEMPT_MS = 10_000, MIN_ATTEMPT_MS = 5_000;

type AnswerResponse = MessageInitShape<typeof AnswerResponseSchema>;
type Stage = NonNullable<AnswerResponse["stage"]>;

/**
 * Answers the offers that another server has for this machine, as a real machine does with the cloud's.
 *
 * @returns A function that stops it at once.
 * @throws TypeError if the address is invalid, or there are no hosts or too many
 */
export function startCloudAnswerer(
  signaling: OutsideSignaling,
  answerer: () => Answerer,
): () => Promise<void> {
  const { hosts } = signaling;
  if (hosts.length < 1 || hosts.length > 5) throw new TypeError("signaling.hosts must be 1 to 5 names");
  const stop = new AbortController();
  const { transport, close } = connect(signaling, stop.signal);
  const client = createClient(SignalingService, transport);
  const headers = new Metadata([["heartbeats-allowed", "true"]]);
  for (const host of hosts) headers.append("rpc-host", host);

  async function work(): Promise<void> {
    while (!stop.signal.aborted) {
      const hadOffer = await answerOne().catch(() => false);
      // The server could not be reached, or ended the wait; both are routine.
      if (!hadOffer) await wait(RETRY_MS, stop.signal).catch(() => {});
    }
  }

  /** Waits for one offer and answers it. Rejects, or returns false, when the stream ends before there is one. */
  async function answerOne(): Promise<boolean> {
    const responses = createQueue<AnswerResponse>();
    const over = new AbortController();
    const signal = AbortSignal.any([stop.signal, over.signal]);
    try {
      const requests = client.answer(responses, { headers, signal });
      return await answerOffer(requests, responses, answerer, () => over.abort());
    } finally {
      responses.end();
      over.abort();
    }
  }

  const workers = Array.from({ length: WORKERS }, work);
  return async () => {
    stop.abort(new ConnectError("the machine is closing", Code.Canceled));
    await close();
    await Promise.all(workers);
  };
}

/**
 * Answers one `Answer` stream.
 *
 * @param answerer The machine may have dropped its connections, and its answerer with them, by the time there is an offer.
 * @returns Whether there was an offer.
 */
async function answerOffer(
  requests: AsyncIterable<AnswerRequest>,
  responses: Queue<AnswerResponse>,
  answerer: () => Answerer,
  giveUp: () => void,
): Promise<boolean> {
  let uuid = "";
  let call: TakenOfferListener | undefined;
  /** Set once it has said that it is done or has failed, or nobody listens any more. */
  let isDone = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const say = (stage: Stage) => responses.push({ uuid, stage });

  function fail(error: ConnectError): void {
    if (isDone) return;
    say({ case: "error", value: { status: toWireStatus(error) } });
    isDone = true;
    call?.failed(error);
    // The server ends the stream when it has read this; it need not be waited for much longer.
    clearTimeout(timer);
    timer = setTimeout(giveUp, END_MS);
  }

  function start({ sdp, deadline }: AnswerRequestInitStage): void {
    const leftMs = deadline === undefined ? ATTEMPT_MS : timestampMs(deadline) - Date.now();
    timer = setTimeout(
      () => fail(new ConnectError("context deadline exceeded", Code.DeadlineExceeded)),
      Math.max(MIN_ATTEMPT_MS, leftMs),
    );
    call = answerer().answer({
      sdp,
      answered: (answer) => say({ case: "init", value: { sdp: answer } }),
      candidate: (candidate) => say({ case: "update", value: { candidate } }),
      done() {
        say({ case: "done", value: {} });
        isDone = true;
        clearTimeout(timer);
      },
      failed: fail,
    });
  }

  try {
    for await (const request of requests) {
      const { stage } = request;
      if (call === undefined) uuid = request.uuid;
      switch (stage.case) {
        case "heartbeat":
          break;
        case "init":
          if (call === undefined) start(stage.value);
          else fail(unknown("got init stage more than once"));
          break;
        case "update":
          if (stage.value.candidate !== undefined) call?.candidate(stage.value.candidate);
          break;
        case "done":
          // The caller wants no more; the connection may still be on its way.
          break;
        case "error":
          call?.failed(fromWireStatus(stage.value.status) ?? unknown("the caller gave no reason"));
          break;
        case undefined:
          if (call !== undefined) break;
          fail(unknown("expected first stage to be init or heartbeat"));
      }
    }
  } catch (error) {
    // Once there was an offer, how the stream ends is of no interest: the next one is waited for at once.
    if (call === undefined) throw error;
  } finally {
    isDone = true;
    clearTimeout(timer);
  }
  return call !== undefined;
}

function connect(
  signaling: OutsideSignaling,
  signal: AbortSignal,
): { transport: Transport; close: () => Promise<void> } {
  const { credentials, ca } = signaling;
  const address = parseAddress(signaling.address);
  if ("problem" in address) throw new TypeError(`signaling.address ${address.problem}`);
  const endpoint = { ...targetOf(address, false), ...(ca === undefined ? {} : { tls: { ca } }) };
  const carrier = createHttp2Carrier(endpoint, {
    maxMessageBytes: MAX_MESSAGE_BYTES,
    keepAliveMs: 20_000,
    runtime: RUNTIME,
  });
  const options = {
    carrier: () => carrier,
    baseUrl: urlOf(endpoint),
    maxBufferedBytes: MAX_MESSAGE_BYTES,
  };
  const transport = createCarrierTransport({
    ...options,
    authorization: credentials === undefined ? undefined : renewedAuthorization(
      (by) => authenticate(createCarrierTransport(options), credentials.entity, credentials, by),
      signal,
    ),
  });
  return { transport, close: () => carrier.close() };
}

function unknown(message: string): ConnectError {
  return new ConnectError(message, Code.Unknown);
}
