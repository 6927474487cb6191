/**
 * Notes on targets, by the key in `targets.ts`: what limits the figure, and what was tried. They are merged into the
 * table.
 */
export const notes: Readonly<Record<string, string>> = {
  "download-connect":
    "Bun's node:http2 reads twice as much from a socket as from a stream in front of it, which it has on a session for downloads alone.",
  "upload-connect":
    "Bound by copies and by the HTTP/2 below, on both sides of the comparison: of our time on Bun 39 % are socket writes, 34 % copies in protobuf and framing, 12 % HTTP/2; on Deno half is waiting for the HTTP/2 of its fetch. Bodies over HTTP/1.1 reach 1.6 times as much, but an early answer of a server that does not want the upload may then be lost with its connection, and a dead machine is not noticed. Tried besides: larger buffers, several frames a write.",
  "webrtc-p50":
    "Both in one process, in turns, differ by 0 % on Deno and 7 % on Bun: more than that is the difference of processes.",
  "webrtc-rate":
    "More than half of the time the program's thread waits for the engine's; a quarter is the engine's `send`, and 8 % is ours.",
  "webrtc-download-65536":
    "Raw frames are counted and thrown away; ours become messages, which is what is left of the time.",
  "webrtc-download-1048576": "The same.",
  "webrtc-upload-65536":
    "Raw frames fill 2 MiB of buffers. Ours fill the engine's with 256 KiB and the channel's by a window that follows the link, so that a small call at 1 Mbit/s waits for seconds less.",
  "webrtc-upload-1048576": "The same.",
  "tail-embedded machine":
    "The median is low, and the tail is one dial in fifty whose DTLS greeting was dropped. Its second attempt, after 15 ms, is made without candidates in the offer and takes 55 ms; with them it would take 10, but on a busy machine 6 of 10 dials then failed.",
  "python-download":
    "Bound by what the peer's SCTP sends: raw frames are 1.6 times as fast as the Python SDK, no more.",
  "dial-floor":
    "Of 7 ms 2.3 are the peer's way to an answer and 2.5 its DTLS handshake, which between two of our engines takes as long in all; 0.8 the connection to its signaling server, 0.6 the engine's new connection, 0.4 the config. Tried without gain: the offer while the config is asked for, candidates one after the other.",
  "dial-python":
    "The same: most of it is the peer's share, which both have. The first dial of a process takes 34 ms on Deno and 43 on Bun, where the Python SDK takes 15: loading the engine and what uses it.",
  "cold":
    "The modules of this library take some 12 ms, the question what the server speaks 4, a fetch as such 7. node:http2, the engine and everything of WebRTC and mDNS are loaded when a dial needs them.",
};

/** Findings of profiles, a paragraph each. */
export const profiles: readonly string[] = [
  "Unary calls over fetch, Bun (`bun --cpu-prof`, one in flight): 64 % in `fetch`, 9 % in `subarray`, 6 % in protobuf's reader, 4 % in the carrier, 3 % in `Headers`. A view of the trailers, pairs of headers and two copies of `RequestInit` are gone since.",
  "Unary calls over WebRTC, Deno (`deno run --cpu-prof`, 32 in flight): 56 % idle, 25 % in the engine's `send`, 5 % collection, and nothing else over 1 %.",
  "Uploads of 64 KiB messages, Bun: 39 % writing to the socket, 16 % in protobuf's `ensureCapacity`, 12 % in node:http2's `writeStream`, 10 % in the frame's encoder, 8 % in protobuf's `finish`.",
  "Uploads of 64 KiB messages, Deno: 51 % idle, 10 % in `ensureCapacity`, 10 % in the frame's encoder, 9 % collection, 7 % in `finish`.",
  "The first direct answer of a cold process, Deno: of its time beyond an empty program half is loading `@bufbuild/protobuf` and `@connectrpc/connect`. Loading node:http2, node:net, node:tls and node:dgram took 20 ms more, until it was put off to the dials that need them.",
];
