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
import { parseAddress } from "../core/net/address.ts";
import { MAX_MESSAGE_BYTES } from "../core/limits.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { fromWireStatus, toWireStatus } from "../core/grpc/wire_status.ts";
import type { Credentials } from "../options/credentials.ts";
import { urlOf } from "../core/net/target.ts";
import { createHttp2Carrier } from "../direct/http2_carrier.ts";
import { createCarrierTransport } from "../rpc/transport.ts";
import { RUNTIME } from "../runtime/runtime.ts";
import type { AnsweredCall, Answerer } from "./answerer.ts";
import { MessageQueue } from "./message_queue.ts";
import { untilAborted, wait } from "../runtime/wait.ts";

/** A signaling server that brings a machine its callers. */
export interface OutsideSignaling {
  /** `host:port`, which means TLS, or a URL. */
  readonly address: string;
  /** The machine's names there; 1 to 5. */
  readonly hosts: readonly string[];
  /** Whom to authenticate as there, and with what. */
  readonly credentials?: Credentials & { readonly entity: string };
  /** Authorities that the server's certificate may be signed by, PEM; the system's by default. */
  readonly ca?: string;
}

/** A machine's side of signaling, at work. */
export interface CloudAnswerer {
  /** Stops at once. */
  close(): Promise<void>;
}

/** Offers answered at a time, as by a real machine (protocol §5.2). */
const WORKERS = 2;

/** Pause of a worker after a failure, in milliseconds. */
const RETRY_MS = 1_000;

/** An answerer's own time for an offer, in milliseconds, and the least it takes (protocol §2.9). */
const ATTEMPT_MS = 10_000, MIN_ATTEMPT_MS = 5_000;

type AnswerResponse = MessageInitShape<typeof AnswerResponseSchema>;
type Stage = NonNullable<AnswerResponse["stage"]>;

/**
 * Answers the offers that another server has for this machine, as a real machine does with the cloud's.
 *
 * @throws TypeError if the address is invalid, or there are no hosts or too many
 */
export function startCloudAnswerer(signaling: OutsideSignaling, answerer: () => Answerer): CloudAnswerer {
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
    const responses = new MessageQueue<AnswerResponse>();
    const over = new AbortController();
    const signal = AbortSignal.any([stop.signal, over.signal]);
    try {
      const requests = client.answer(responses, { headers, signal });
      return await new OfferAttempt(answerer, responses, () => over.abort()).run(requests, signal);
    } finally {
      responses.end();
      over.abort();
    }
  }

  const workers = Array.from({ length: WORKERS }, work);
  return {
    async close() {
      stop.abort(new ConnectError("the machine is closing", Code.Canceled));
      await close();
      await Promise.all(workers);
    },
  };
}

/** One `Answer` stream, from the answerer's side. */
class OfferAttempt {
  /** The machine may have dropped its connections, and its answerer with them, by the time there is an offer. */
  readonly #answerer: () => Answerer;
  readonly #responses: MessageQueue<AnswerResponse>;
  readonly #giveUp: () => void;
  #uuid = "";
  #call: AnsweredCall | undefined;
  /** Has said that it is done or has failed, or nobody listens any more. */
  #isDone = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(answerer: () => Answerer, responses: MessageQueue<AnswerResponse>, giveUp: () => void) {
    this.#answerer = answerer;
    this.#responses = responses;
    this.#giveUp = giveUp;
  }

  /** @returns Whether there was an offer. */
  async run(requests: AsyncIterable<AnswerRequest>, signal: AbortSignal): Promise<boolean> {
    try {
      for await (const { uuid, stage } of withSignal(requests, signal)) {
        switch (stage.case) {
          case "heartbeat":
            break;
          case "init":
            if (this.#call === undefined) this.#start(uuid, stage.value);
            else this.#fail(unknown("got init stage more than once"));
            break;
          case "update":
            if (stage.value.candidate !== undefined) this.#call?.addCandidate(stage.value.candidate);
            break;
          case "done":
            // The caller wants no more; the connection may still be on its way.
            break;
          case "error":
            this.#call?.abandon(fromWireStatus(stage.value.status) ?? unknown("the caller gave no reason"));
            break;
          case undefined:
            if (this.#call !== undefined) break;
            this.#uuid = uuid;
            this.#fail(unknown("expected first stage to be init or heartbeat"));
        }
      }
    } catch (error) {
      // Once there was an offer, how the stream ends is of no interest: the next one is waited for at once.
      if (this.#call === undefined) throw error;
    } finally {
      this.#isDone = true;
      clearTimeout(this.#timer);
    }
    return this.#call !== undefined;
  }

  #start(uuid: string, init: AnswerRequestInitStage): void {
    const { sdp, deadline } = init;
    const leftMs = deadline === undefined ? ATTEMPT_MS : timestampMs(deadline) - Date.now();
    this.#timer = setTimeout(
      () => this.#fail(new ConnectError("context deadline exceeded", Code.DeadlineExceeded)),
      Math.max(MIN_ATTEMPT_MS, leftMs),
    );
    this.#uuid = uuid;
    this.#call = this.#answerer().answer(sdp, {
      answered: (answer) => this.#say({ case: "init", value: { sdp: answer } }),
      candidate: (candidate) => this.#say({ case: "update", value: { candidate } }),
      opened: () => {
        this.#say({ case: "done", value: {} });
        this.#isDone = true;
        clearTimeout(this.#timer);
      },
      failed: (error) => this.#fail(error),
    });
  }

  #fail(error: ConnectError): void {
    if (this.#isDone) return;
    this.#say({ case: "error", value: { status: toWireStatus(error) } });
    this.#isDone = true;
    this.#call?.abandon(error);
    // The server ends the stream when it has read this; it need not be waited for much longer.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#giveUp, RETRY_MS);
  }

  #say(stage: Stage): void {
    this.#responses.push({ uuid: this.#uuid, stage });
  }
}

function connect(
  signaling: OutsideSignaling,
  signal: AbortSignal,
): { transport: Transport; close: () => Promise<void> } {
  const { credentials, ca } = signaling;
  const address = parseAddress(signaling.address);
  if ("problem" in address) throw new TypeError(`signaling.address ${address.problem}`);
  const secure = address.scheme !== "http";
  const endpoint = {
    secure,
    hostname: address.hostname,
    port: address.port ?? (secure ? 443 : 80),
    ...(ca === undefined ? {} : { tls: { ca } }),
  };
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

/** Yields what comes until the signal is aborted; then rejects with its reason. */
async function* withSignal<T>(messages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const aborted = untilAborted(signal);
  aborted.catch(() => {});
  const iterator = messages[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), aborted]);
    if (next.done === true) return;
    yield next.value;
  }
}

function unknown(message: string): ConnectError {
  return new ConnectError(message, Code.Unknown);
}
