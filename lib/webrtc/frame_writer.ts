import { MAX_FRAME_BYTES, MAX_PACKET_BYTES } from "../core/limits.ts";
import { isLocalPair } from "../core/ice/candidate.ts";
import type { DeliveryWindow } from "../core/channel/delivery_window.ts";
import type { SendQueue } from "../core/channel/send_queue.ts";
import { unrefTimer } from "../runtime/unref_timer.ts";
import { LOW_MARK_BYTES, type Peer } from "./peer.ts";

/** Writes frames to a peer's channel 0 as long as there is room. */
export interface FrameWriter {
  /** Writes waiting frames as long as there is room. */
  flush(): void;
  /** The same; returns a promise, which never rejects, if messages of this stream still wait to be written. */
  write(stream: number): Promise<void> | undefined;
  /** Notes that a stream is over: nobody waits for its messages any more. */
  ended(stream: number): void;
  /** Notes the answer to a question. */
  answered(question: number): void;
  /** Writes no more, and lets nobody wait. */
  stop(): void;
}

/** The frames of one side. */
export interface FrameSource {
  readonly queue: SendQueue;
  /** Queues a question ahead of everything else. Returns its number. */
  ask(): number;
}

/** Most bytes in front of the engine's own buffer: it drains within this, so it never runs empty. */
const MAX_WAITING_BYTES = 131_072;

/** Most bytes of a message in one frame to this peer. */
export function packetBytesOf(peer: Peer): number {
  return Math.max(1, Math.min(MAX_PACKET_BYTES, peer.maxFrameBytes() - (MAX_FRAME_BYTES - MAX_PACKET_BYTES)));
}

/**
 * Moves frames from a source to a peer. Flushed when frames are queued, when an answer has come, and when the channel
 * says that its buffer has drained.
 *
 * @param window Steered by the answers of the other side. Undefined where it answers no questions: what is written is
 * then bounded by the engine's buffer alone.
 * @param refused Called when the channel takes no more frames, which means that it is closing.
 */
export function createFrameWriter(
  peer: Peer,
  source: FrameSource,
  window: DeliveryWindow | undefined,
  refused: () => void,
): FrameWriter {
  const { queue } = source;
  // The engine copies each frame, so one buffer serves all of them.
  const buffer = new Uint8Array(MAX_FRAME_BYTES);
  /** An upper bound of the bytes in front of the engine's buffer: those at the last look, and those written since. */
  let atMost = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let retryAt = Infinity;
  let isStopped = false;
  /** Those who wait for their stream's messages to be written, by stream. */
  const waiting = new Map<number, () => void>();

  /** Most bytes of a message in the next frame; 0 while there is no room for any. */
  function room(now: number): number {
    // A look costs as much as sending a small frame; a few small frames do not matter.
    if (atMost > LOW_MARK_BYTES) {
      atMost = peer.bufferedAmount();
      if (atMost > MAX_WAITING_BYTES) return 0;
    }
    if (window === undefined) return MAX_PACKET_BYTES;
    return window.hasRoom(now) ? window.frameBytes : 0;
  }

  function begin(window: DeliveryWindow, now: number): void {
    const pathMs = peer.roundTripMs();
    if (pathMs === undefined) return;
    const pair = peer.selectedPair();
    window.begin(pathMs, now, pair !== undefined && isLocalPair(pair));
  }

  function flush(): void {
    while (!queue.empty) {
      const now = performance.now();
      if (window?.isBeginning(now) === true) begin(window, now);
      if (window?.wantsQuestion === true) window.asked(source.ask(), now);
      const frame = queue.next(buffer, room(now));
      if (frame === undefined) {
        const waitMs = window?.retryMs(now);
        // What was answered meanwhile may have shown that there is room earlier.
        if (waitMs !== undefined && now + waitMs < retryAt - 1 && !isStopped) {
          clearTimeout(retry);
          retryAt = now + waitMs;
          retry = setTimeout(() => {
            retryAt = Infinity;
            flush();
          }, waitMs);
          unrefTimer(retry);
        }
        break;
      }
      atMost += frame.length;
      if (!peer.send(frame)) return refused();
      window?.wrote(frame.length, now);
    }
    for (const stream of waiting.keys()) if (!queue.has(stream)) ended(stream);
  }

  function ended(stream: number): void {
    waiting.get(stream)?.();
    waiting.delete(stream);
  }

  return {
    flush,
    write(stream) {
      flush();
      return queue.has(stream) ? new Promise((resolve) => waiting.set(stream, resolve)) : undefined;
    },
    ended,
    answered(question) {
      if (window?.answered(question, performance.now(), peer.roundTripMs) === true && !queue.empty) flush();
    },
    stop() {
      isStopped = true;
      clearTimeout(retry);
      for (const stream of waiting.keys()) ended(stream);
    },
  };
}
