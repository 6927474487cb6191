/**
 * Notes on targets, by the key in `targets.ts`: what limits the figure, and what was tried. They are merged into the
 * table.
 */
export const notes: Readonly<Record<string, string>> = {
  "p50-fetch":
    "Every call goes over node:http2, which pings a silent connection and sees how many streams the server allows; fetch does neither. Bare node:http2 is the bound. More than half of the difference is the server's: a call over HTTP/2 takes 167 µs of its CPU time, over the HTTP/1.1 of fetch 100.",
  "rate-fetch":
    "The same: 55 µs of the server's CPU time for a call instead of 27. The rest is node:http2 itself: frames written and read by hand on a socket, for unary calls alone, take 12 µs of the client's CPU time on Bun and 14 on Deno, bare node:http2 29 and 54, and reach 0.81 and 1.35 of fetch's calls a second. The Go peer flushes message, trailers and end one by one, as a Viam machine does. To a real goutils machine, whose own work for a call is larger, the ratios are 0.96 to fetch and 2.3 to connect-node on Bun, 1.00 and 1.9 on Deno (medians of five rounds, 0.74 to 1.92 of fetch). Tried on Bun: starting calls together when the event loop turns, so that one write carries them; it takes 14 % less CPU time and makes 12 % fewer calls, since the server waits meanwhile.",
  "download-connect":
    "Bun's node:http2 reads twice as fast from a socket as from a stream in front of it. A session for downloads only reads from the socket.",
  "upload-connect":
    "Limited by copies and by HTTP/2 itself, on both sides of the comparison. On Bun, 39 % of our time is socket writes, 34 % copies in protobuf and framing, 12 % HTTP/2; on Deno, with TLS, 35 % is socket writes, which encrypt, and 18 % collection. Bodies over HTTP/1.1 reach 1.6 times as much, but then an early answer of a server that refuses the upload may be lost with its connection, and a dead machine is not noticed. Also tried: larger buffers, several frames a write.",
  "webrtc-p50":
    "Measured in turns in one process, both differ by 0 % on Deno and 7 % on Bun; the rest is the difference between processes.",
  "webrtc-rate":
    "For more than half of the time the program's thread waits for the engine's; a quarter is the engine's `send`, and 8 % is ours.",
  "webrtc-download-65536":
    "Raw frames are counted and discarded; ours become messages, which takes the rest of the time.",
  "webrtc-download-1048576": "The same.",
  "webrtc-upload-65536":
    "Raw frames fill 2 MiB of buffers, in packets of 1,280 bytes. Ours fill a window of half a MiB, which keeps the wait of a small call short (14 ms beside the upload; 25 beside raw frames), in packets of 1,200, which tunnels pass. Raw frames in such packets reach 0.92 to 0.96 of that; with buffers of half a MiB, too, 0.83 to 0.89; ours are then at 0.94 to 1.05 of them (medians of 13 or more rounds). Without protobuf's two buffers a message, uploads are 10 % faster on Deno and 1 to 5 % on Bun.",
  "webrtc-upload-1048576": "The same.",
  "tail-embedded machine":
    "The median is low; the tail is one dial in fifty whose DTLS ClientHello was dropped. Its second attempt, after 15 ms, has no candidates in the offer and takes 55 ms. With candidates it would take 10 ms, but on a busy machine 6 of 10 dials then failed.",
  "python-download":
    "Limited by the peer's SCTP: even raw frames are only 1.6 times as fast as the Python SDK.",
  "dial-floor":
    "Of 7 ms, the peer's answer takes 2.3 and its DTLS handshake 2.5 (a whole handshake between two of our engines takes as long), the connection to its signaling server 0.8, the engine's new connection 0.6, and the config 0.4. Tried without gain: making the offer while the config is fetched, sending candidates one after the other.",
  "dial-python":
    "The same: most of it is the peer's share, which both have. The first dial of a process takes 34 ms on Deno and 43 on Bun, because it loads the engine; the Python SDK takes 15.",
  "cold":
    "Of the CPU time until the answer, 132 ms on Deno and 121 on Bun, an empty program takes 18 and 5, protobuf and Connect, which the bare fetch has too, 36 and 40, and node:net and node:http2 28 and 20. A script with bare node:http2 takes 91 and 79, fetch 60 and 53, so that node:http2 is the bound. Importing this library's 90 modules takes some 25 and 20, of which 8 and 10 would be left in one bundle. The engine, WebRTC, mDNS, TLS and proxies are loaded when a dial needs them, and node:http2 while it connects.",
};

/** Findings of profiles, a paragraph each. */
export const profiles: readonly string[] = [
  "Unary calls over node:http2, Bun (`bun --cpu-prof`, 32 in flight): 27 % in `request`, half of it native, 21 % in events of the stream, 15 % in the transport and protobuf, 8 % in the write of the message. Three `Headers` a call, views of a `Buffer`, a promise and a copy of the options have been removed since: the carrier's CPU time a call went from 53 to 39 µs, of 26 for node:http2 alone. On Deno, in one process, a call takes as much as on bare node:http2: 51 µs.",
  "Unary calls over WebRTC, Deno (`deno run --cpu-prof`, 32 in flight): 56 % idle, 25 % in the engine's `send`, 5 % collection, and nothing else over 1 %.",
  "Uploads of 64 KiB messages over WebRTC, shares of the time in which the program's thread works, Deno: 36 % in the engine's `send`, 12 % collection, 11 % asking the engine for the round trip of the path, 9 % in protobuf, 6 % decoding answers to the window's questions. Bun: 37 % in protobuf, most of it for buffers of twice a message's size and their copies, 20 % in `send`, 9 % decoding, 8 % asking for the round trip. The round trip has been asked for only where it counts since, and an answer to a question is not made an error: the process takes 2 % less CPU time a MB.",
  "Uploads of 64 KiB messages, Bun: 39 % writing to the socket, 16 % in protobuf's `ensureCapacity`, 12 % in node:http2's `writeStream`, 10 % in the frame's encoder, 8 % in protobuf's `finish`.",
  "Uploads of 64 KiB messages with TLS, Deno: 35 % writing to the socket, 18 % collection, 15 % idle, 5 % in `ensureCapacity`, 4 % in nghttp2, 2 % in the frame's encoder. What node:http2 writes has gone past the filter of what it reads since, and small messages that wait go out in one write.",
  "The first direct answer of a cold process, Deno: a third of its time beyond that of an empty program is spent on loading `@bufbuild/protobuf` and `@connectrpc/connect`. Loading node:http2, node:net, node:tls and node:dgram took another 20 ms, until it was deferred to the dials that need them.",
];
