import type net from "node:net";
import { Duplex } from "node:stream";
import type { Http2FrameFilter } from "../core/http2/frame_filter.ts";

/** A socket for an HTTP/2 session whose incoming data passes a filter. */
export interface FilteredSocket extends Duplex {
  /** Gives the session a frame, as if it had just arrived. */
  insert(frame: Uint8Array): void;
}

/**
 * Puts a filter between a socket and an HTTP/2 session, for frames that a runtime's node:http2 handles wrongly. Deno's
 * aborts the process over some GOAWAY frames (nghttp2: assertion in `find_stream_on_goaway_func`;
 * https://github.com/denoland/deno/issues/36788); Bun's ignores widened windows.
 */
export function filteredSocket(socket: net.Socket, filter: Http2FrameFilter): FilteredSocket {
  const filtered = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _encoding, done) => void socket.write(chunk, (error) => done(error)),
    final(done) {
      socket.end(() => done());
    },
    destroy(_error, done) {
      socket.uncork(); // what was written before the end goes out before it
      socket.destroy();
      done(null); // calls report their broken connection
    },
  });
  socket.on("data", (chunk: Uint8Array) => {
    let room = true;
    for (const part of filter.push(chunk)) room = filtered.push(part);
    if (!room) socket.pause();
  });
  socket.on("end", () => filtered.push(null));
  socket.on("close", () => filtered.destroy());
  filtered.on("error", () => {});
  // Bun's session, told by `write` that the socket is full, goes on at this event.
  socket.on("drain", () => void filtered.emit("drain"));
  let isGathering = false;
  /** Gathers what a session writes in one turn: the system, and the server, take several frames at the price of one. */
  const write = (...args: Parameters<net.Socket["write"]>) => {
    if (!isGathering) {
      isGathering = true;
      socket.cork();
      queueMicrotask(() => {
        isGathering = false;
        socket.uncork();
      });
    }
    return socket.write(...args);
  };
  return Object.assign(filtered, {
    insert: (frame: Uint8Array) => void filtered.push(frame),
    write,
    // An HTTP/2 session passes these on to its socket.
    ref: () => void socket.ref(),
    unref: () => void socket.unref(),
  });
}
