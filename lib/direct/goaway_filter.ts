import { Buffer } from "node:buffer";
import type net from "node:net";
import { Duplex } from "node:stream";

/** Bytes of the connection preface, with which what a client sends begins. */
const PREFACE_BYTES = 24;
const HEADER_BYTES = 9;
const GOAWAY = 0x07;

/** Who sends what is filtered. */
export type Http2Side = "client" | "server";

/**
 * Takes GOAWAY frames out of what one side of an HTTP/2 connection sends (RFC 9113, section 6.8), however it is cut
 * into chunks.
 */
export class GoawayFilter {
  readonly #onGoaway: (lastStreamId: number) => void;
  /** Bytes of the connection preface that are still to come. */
  #preface: number;
  /** The frame header that is coming in. */
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the frame's payload that are still to come. */
  #payload = 0;
  /** What has come of the payload that is taken out. */
  #taken: Buffer[] | undefined;

  /**
   * @param from Who sends.
   * @param onGoaway Told of each frame that is taken out: no stream above this one has been or will be handled.
   */
  constructor(from: Http2Side, onGoaway: (lastStreamId: number) => void = () => {}) {
    this.#preface = from === "client" ? PREFACE_BYTES : 0;
    this.#onGoaway = onGoaway;
  }

  /** @returns what to pass on, in order. */
  push(chunk: Buffer): Buffer[] {
    const passed: Buffer[] = [];
    let at = 0;
    if (this.#preface > 0) {
      at = Math.min(this.#preface, chunk.length);
      this.#preface -= at;
      passed.push(chunk.subarray(0, at));
    }
    while (at < chunk.length) {
      if (this.#payload > 0) {
        const part = chunk.subarray(at, at + this.#payload);
        (this.#taken ?? passed).push(part);
        this.#payload -= part.length;
        at += part.length;
        if (this.#payload === 0 && this.#taken !== undefined) {
          const payload = Buffer.concat(this.#taken);
          this.#taken = undefined;
          if (payload.length >= 4) this.#onGoaway(payload.readUInt32BE(0) & 0x7fffffff);
        }
        continue;
      }
      const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerBytes);
      part.copy(this.#header, this.#headerBytes);
      this.#headerBytes += part.length;
      at += part.length;
      if (this.#headerBytes < HEADER_BYTES) break;
      this.#headerBytes = 0;
      this.#payload = this.#header.readUIntBE(0, 3);
      if (this.#header[3] === GOAWAY) this.#taken = [];
      else passed.push(Buffer.from(this.#header));
    }
    return passed;
  }
}

/**
 * A socket without the GOAWAY frames that come in on it. Deno's node:http2 aborts the process over some of them
 * (nghttp2: assertion in `find_stream_on_goaway_func`; https://github.com/denoland/deno/issues/36788).
 *
 * @param from Who is at the other end.
 * @param onGoaway Told of each frame that is left out.
 */
export function withoutGoaway(
  socket: net.Socket,
  from: Http2Side,
  onGoaway?: (lastStreamId: number) => void,
): Duplex {
  const filter = new GoawayFilter(from, onGoaway);
  const filtered = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, (error) => done(error)),
    final(done) {
      socket.end(() => done());
    },
    destroy(_error, done) {
      socket.destroy();
      done(null); // a connection that breaks is its calls' business
    },
  });
  socket.on("data", (chunk: Buffer) => {
    let room = true;
    for (const part of filter.push(chunk)) room = filtered.push(part);
    if (!room) socket.pause();
  });
  socket.on("end", () => filtered.push(null));
  socket.on("close", () => filtered.destroy());
  filtered.on("error", () => {});
  // An HTTP/2 session hands these on to its socket.
  return Object.assign(filtered, { ref: () => void socket.ref(), unref: () => void socket.unref() });
}
