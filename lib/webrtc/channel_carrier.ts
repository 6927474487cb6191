import { Code, ConnectError } from "@connectrpc/connect";
import { ClientStreams, type StreamListener } from "../core/channel/client_streams.ts";
import { MAX_FRAME_BYTES, MAX_PACKET_BYTES } from "../core/limits.ts";
import type { Call, CallListener, CallRequest, Carrier, CarrierLimits } from "../rpc/carrier.ts";
import { endedCall } from "../rpc/held_call.ts";
import { DeliveryWindow, type PathEstimate } from "../core/channel/delivery_window.ts";
import { createFrameWriter, packetBytesOf } from "./frame_writer.ts";
import type { Peer } from "./peer.ts";

/** A carrier over data channel 0. It is told what the peer reports. */
export interface ChannelCarrier extends Carrier {
  /** A frame came in. */
  receive(frame: Uint8Array): void;
  /** The send buffer has drained. */
  writable(): void;
  /** The connection is lost: ends every call with `error`, and every later one. */
  fail(error: ConnectError): void;
  /** Asks the machine a question. */
  ask(answered: () => void): void;
  /** The path as the machine's answers show it. */
  estimate(): PathEstimate;
  /** True once the machine has asked a question: it limits what it queues. */
  readonly isQuestioned: boolean;
  /** Open calls. */
  readonly size: number;
}

/**
 * Opens calls over an open peer. Closing it closes the peer.
 *
 * @param refused Told when the channel takes no more frames, which ends the connection.
 */
export function createChannelCarrier(
  peer: Peer,
  limits: CarrierLimits,
  refused: () => void,
): ChannelCarrier {
  const streams = new ClientStreams({
    maxMessageBytes: limits.maxMessageBytes,
    maxFrameBytes: Math.min(MAX_FRAME_BYTES, peer.maxFrameBytes()),
    packetBytes: packetBytesOf(peer),
    answered(question) {
      writer.answered(question);
      const answered = asked.get(question);
      asked.delete(question);
      answered?.();
    },
  });
  const asked = new Map<number, () => void>();
  let lost: ConnectError | undefined;
  let closing: Promise<void> | undefined;
  const window = new DeliveryWindow(MAX_PACKET_BYTES);
  const writer = createFrameWriter(peer, streams, window, refused);
  const { flush } = writer;

  function fail(error: ConnectError): void {
    if (lost !== undefined) return;
    lost = error;
    writer.stop();
    streams.fail(error);
    asked.clear();
  }

  function open(request: CallRequest, listener: CallListener): Call {
    if (lost !== undefined) return endedCall(lost, listener);
    const mark = window.handed;
    const own: StreamListener = {
      headers(metadata) {
        window.delivered(mark, performance.now());
        listener.headers(() => metadata);
      },
      message: (bytes) => listener.message(bytes),
      end: (end) => {
        writer.ended(id);
        listener.end(end);
      },
    };
    let id: number;
    try {
      id = streams.open(request, own);
    } catch (error) {
      return endedCall(ConnectError.from(error, Code.Internal), listener);
    }
    // The headers are written with the first message, or on their own if none comes in this turn.
    let opened = false;
    queueMicrotask(() => {
      if (!opened) flush();
    });
    return {
      send(message, last) {
        opened = true;
        streams.send(id, message, last);
        return writer.write(id);
      },
      halfClose() {
        streams.halfClose(id);
        flush();
      },
      reset() {
        streams.reset(id);
        writer.ended(id);
        flush();
      },
      pause() {},
      resume() {},
    };
  }

  return {
    open,
    receive(frame) {
      streams.receive(frame);
      // A refused stream has queued a reset.
      if (!streams.queue.empty) flush();
    },
    writable: flush,
    fail,
    ask(answered) {
      asked.set(streams.ask(), answered);
      flush();
    },
    estimate: () => window.estimate,
    get isQuestioned() {
      return streams.isQuestioned;
    },
    get size() {
      return streams.size;
    },
    close() {
      closing ??= (async () => {
        fail(new ConnectError("the channel is closed", Code.Unavailable));
        await peer.close();
      })();
      return closing;
    },
  };
}
