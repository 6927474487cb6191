import { Buffer } from "node:buffer";
import type net from "node:net";
import { Duplex } from "node:stream";

const PREFACE_BYTES = 24, HEADER_BYTES = 9;
const GOAWAY = 0x07;

/**
 * Takes GOAWAY frames out of what an HTTP/2 client sends (RFC 9113, section 6.8), however it is cut into chunks. To
 * a server that pushes nothing they say no more than the end of the connection, which follows.
 */
export class GoawayFilter {
  /** Bytes of the connection preface that are still to come. */
  #preface = PREFACE_BYTES;
  /** The frame header that is coming in. */
  readonly #header: Buffer = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the frame's payload that are still to come. */
  #payload = 0;
  #dropping = false;

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
        if (!this.#dropping) passed.push(part);
        this.#payload -= part.length;
        at += part.length;
        continue;
      }
      const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerBytes);
      part.copy(this.#header, this.#headerBytes);
      this.#headerBytes += part.length;
      at += part.length;
      if (this.#headerBytes < HEADER_BYTES) break;
      this.#headerBytes = 0;
      this.#payload = this.#header.readUIntBE(0, 3);
      this.#dropping = this.#header[3] === GOAWAY;
      if (!this.#dropping) passed.push(Buffer.from(this.#header));
    }
    return passed;
  }
}

/**
 * A socket without the GOAWAY frames that come in on it. Deno's HTTP/2 server aborts the process over some of them
 * (nghttp2: assertion in `find_stream_on_goaway_func`).
 */
export function withoutGoaway(socket: net.Socket): Duplex {
  const filter = new GoawayFilter();
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
  return filtered;
}
