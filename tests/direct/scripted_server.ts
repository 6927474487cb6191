/** A server that answers gRPC over HTTP/2 and gRPC-Web over HTTP/1.1 with bytes of a script, well formed or not. */

import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";

/** Header lines, in this order, as they are. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** The answer to a call. */
export interface Answer {
  /** 200 by default. */
  readonly status?: number;
  readonly headers?: Fields;
  /** Whole frames of gRPC or gRPC-Web. */
  readonly body?: Uint8Array;
  /** HTTP trailers, also empty ones; none by default. Over HTTP/2 only. */
  readonly trailers?: Fields;
  /** The code with which the call is reset after all of this. Over HTTP/2 only. */
  readonly reset?: number;
  /** Ends the connection after all of this. Over HTTP/2 only. */
  readonly ends?: boolean;
}

/** Writes a frame of HTTP/2. */
export type WriteFrame = (type: number, flags: number, stream: number, payload: Uint8Array) => void;

/** Settings of a scripted server. */
export interface ScriptedServerOptions {
  /** Answers over HTTP/2 when a call begins, and not when all of it has come. */
  readonly early?: boolean;
  /** The settings of its connections of HTTP/2; none by default. */
  readonly settings?: Uint8Array;
  /** Called for each connection of HTTP/2, after the settings. */
  readonly onConnection?: (frame: WriteFrame, connection: number, socket: net.Socket) => void;
}

/** The answer to the next request; none, if undefined. A promise over HTTP/2 only. */
export type Script = () => Answer | Promise<Answer> | undefined;

/** Starts a server on a port of this computer. */
export async function startScriptedServer(answer: Script, options: ScriptedServerOptions = {}) {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const server = net.createServer((socket) => {
    const connection = ++connections;
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    let input = Buffer.alloc(0);
    let read: ((input: Buffer) => number) | undefined;
    socket.on("data", (data: Buffer) => {
      input = Buffer.concat([input, data]);
      if (read === undefined) {
        if (input.length < PREFACE.length) return;
        const multiplexed = input.subarray(0, PREFACE.length).equals(PREFACE);
        if (multiplexed) input = input.subarray(PREFACE.length);
        read = multiplexed ? http2Reader(socket, answer, options, connection) : http1Reader(socket, answer);
      }
      for (let used = read(input); used > 0; used = read(input)) input = input.subarray(used);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Both readers answer one request or frame that is there whole, and return how many bytes it had. */
function http1Reader(socket: net.Socket, answer: Script) {
  return (input: Buffer): number => {
    const text = input.toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return 0;
    const head = text.slice(0, end).toLowerCase();
    const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
    const bodyEnd = length !== undefined
      ? end + 4 + Number(length)
      : head.includes("transfer-encoding: chunked")
      ? text.indexOf("0\r\n\r\n", end + 4) + 5
      : end + 4;
    if (bodyEnd < end + 4 || bodyEnd > input.length) return 0;
    const answered = answer();
    if (answered === undefined || answered instanceof Promise) return bodyEnd;
    const { status = 200, headers = [], body = new Uint8Array(0) } = answered;
    const lines = [...headers, ["content-length", String(body.length)]].map(([name, value]) =>
      `${name}: ${value}\r\n`
    );
    socket.write(
      Buffer.concat([Buffer.from(`HTTP/1.1 ${status} \r\n${lines.join("")}\r\n`, "latin1"), body]),
    );
    return bodyEnd;
  };
}

const DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, CONTINUATION = 9;
const END_STREAM = 1, ACK = 1, END_HEADERS = 4;
const MAX_FRAME_BYTES = 16_384;

function http2Reader(
  socket: net.Socket,
  answer: Script,
  { early = false, settings = new Uint8Array(0), onConnection }: ScriptedServerOptions,
  connection: number,
) {
  const frame: WriteFrame = (type, flags, stream, payload) => {
    const header = Buffer.alloc(9);
    header.writeUIntBE(payload.length, 0, 3);
    header[3] = type;
    header[4] = flags;
    header.writeUInt32BE(stream, 5);
    socket.write(Buffer.concat([header, payload]));
  };
  const fields = (stream: number, block: Buffer, last: boolean) => {
    for (let at = 0; at === 0 || at < block.length; at += MAX_FRAME_BYTES) {
      const flags = at + MAX_FRAME_BYTES >= block.length ? END_HEADERS : 0;
      const end = at === 0 && last ? END_STREAM : 0;
      frame(at === 0 ? HEADERS : CONTINUATION, flags | end, stream, block.subarray(at, at + MAX_FRAME_BYTES));
    }
  };
  const respond = (stream: number, answered: Answer | Promise<Answer> | undefined) => {
    if (answered === undefined) return;
    if (answered instanceof Promise) return void answered.then((known) => respond(stream, known));
    const { status = 200, headers, body, trailers, reset, ends = false } = answered;
    const isHeadersOnly = body === undefined && trailers === undefined;
    if (headers !== undefined) {
      fields(stream, literal([[":status", String(status)], ...headers]), isHeadersOnly);
    }
    if (body !== undefined) frame(DATA, trailers === undefined ? END_STREAM : 0, stream, body);
    if (trailers !== undefined) fields(stream, literal(trailers), true);
    if (reset !== undefined) frame(RST_STREAM, 0, stream, Uint8Array.of(0, 0, 0, reset));
    if (ends) socket.end();
  };
  frame(SETTINGS, 0, 0, settings);
  onConnection?.(frame, connection, socket);
  return (input: Buffer): number => {
    if (input.length < 9) return 0;
    const length = input.readUIntBE(0, 3),
      type = input[3]!,
      flags = input[4]!,
      stream = input.readUInt32BE(5);
    if (input.length < 9 + length) return 0;
    const payload = input.subarray(9, 9 + length);
    if (type === SETTINGS && (flags & ACK) === 0) frame(SETTINGS, ACK, 0, new Uint8Array(0));
    if (type === PING && (flags & ACK) === 0) frame(PING, ACK, 0, payload);
    const isEnd = (type === HEADERS || type === DATA) && (flags & END_STREAM) !== 0;
    if (early ? type === HEADERS : isEnd) respond(stream, answer());
    return 9 + length;
  };
}

/** A header block without compression (RFC 7541, section 6.2.2). */
function literal(fields: Fields): Buffer {
  return Buffer.concat([...fields].flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

/** A string without Huffman code, its length with a prefix of 7 bits (RFC 7541, section 5). */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  const length: number[] = [Math.min(bytes.length, 127)];
  if (bytes.length >= 127) {
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push(rest % 128 + 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
