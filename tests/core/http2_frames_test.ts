import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { goawayFilter } from "../../lib/core/http2/goaway.ts";
import { Http2FrameFilter } from "../../lib/core/http2/frame_filter.ts";
import { InitialWindow } from "../../lib/core/http2/initial_window.ts";
import { LongFields } from "../../lib/core/http2/long_fields.ts";
import { test } from "../harness.ts";

/** The connection preface, which a client sends before its first frame; a server has none. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, payload: number): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload, 0, 3);
  header[3] = type;
  return Buffer.concat([header, Buffer.alloc(payload, type)]);
}

/** The error code of a GOAWAY, and each byte of its debug data. */
const CODE = 11, DEBUG = 0x61;

function goaway(lastStreamId: number, debugBytes = 0): Buffer {
  const whole = frame(7, 8 + debugBytes);
  whole.writeUInt32BE(lastStreamId, 9);
  whole.writeUInt32BE(CODE, 13);
  return whole.fill(DEBUG, 17);
}

const SETTINGS = frame(4, 12);
const HEADERS = frame(1, 40);
const DATA = frame(0, 300);
const EMPTY = frame(0, 0);

for (
  const [name, side, sent, wanted, last] of [
    ["without a GOAWAY everything passes", "client", [PREFACE, SETTINGS, HEADERS, DATA], [
      PREFACE,
      SETTINGS,
      HEADERS,
      DATA,
    ], []],
    ["a client's GOAWAY at the end is left out", "client", [PREFACE, SETTINGS, DATA, goaway(0)], [
      PREFACE,
      SETTINGS,
      DATA,
    ], [0]],
    ["a client's GOAWAYs between frames are left out", "client", [
      PREFACE,
      goaway(5),
      EMPTY,
      goaway(3, 20),
      DATA,
    ], [
      PREFACE,
      EMPTY,
      DATA,
    ], [5, 3]],
    [
      "both GOAWAYs of a server's graceful shutdown are left out",
      "server",
      [
        SETTINGS,
        goaway(0x7fffffff, 17),
        DATA,
        goaway(131),
      ],
      [SETTINGS, DATA],
      [0x7fffffff, 131],
    ],
  ] as const
) {
  test(`GOAWAY filter: ${name}, however it is cut`, () => {
    const input = Buffer.concat(sent);
    for (const size of [1, 2, 5, 9, 13, 64, input.length]) {
      const told: number[] = [];
      const filter = goawayFilter(side, (lastStreamId, code, debugData) => {
        told.push(lastStreamId);
        assert.deepEqual([code, debugData], [CODE, new Uint8Array(debugData.length).fill(DEBUG)]);
      });
      const passed: Uint8Array[] = [];
      for (let at = 0; at < input.length; at += size) {
        passed.push(...filter.push(input.subarray(at, at + size)));
      }
      assert.deepEqual(Buffer.concat(passed), Buffer.concat(wanted), `chunks of ${size}`);
      assert.deepEqual(told, last, `chunks of ${size}`);
    }
  }, { pure: true });
}

function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  pairs.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  });
  const whole = frame(4, payload.length);
  payload.copy(whole, 9);
  return whole;
}

function windowUpdate(stream: number, bytes: number): Buffer {
  const whole = frame(8, 4);
  whole.writeUInt32BE(stream, 5);
  whole.writeUInt32BE(bytes, 9);
  return whole;
}

const INITIAL_WINDOW_SIZE = 4, MAX_FRAME_SIZE = 5;
const ACKNOWLEDGED = settings();
ACKNOWLEDGED[4] = 1;

for (
  const [name, sent, wanted, opened] of [
    [
      "the first settings pass",
      [settings([MAX_FRAME_SIZE, 16_384])],
      [settings([MAX_FRAME_SIZE, 16_384])],
      0,
    ],
    [
      "a wider window becomes window updates of each stream; other settings pass",
      [
        settings([INITIAL_WINDOW_SIZE, 100]),
        ACKNOWLEDGED,
        settings([INITIAL_WINDOW_SIZE, 150], [MAX_FRAME_SIZE, 20_000]),
      ],
      [
        settings([INITIAL_WINDOW_SIZE, 100]),
        ACKNOWLEDGED,
        settings([MAX_FRAME_SIZE, 20_000]),
        windowUpdate(1, 50),
        windowUpdate(3, 50),
      ],
      50,
    ],
    [
      "windows start at 65,535 if the first settings do not set them",
      [settings(), settings([INITIAL_WINDOW_SIZE, 65_536]), settings([INITIAL_WINDOW_SIZE, 65_540])],
      [
        settings(),
        settings(),
        windowUpdate(1, 1),
        windowUpdate(3, 1),
        settings(),
        windowUpdate(1, 4),
        windowUpdate(3, 4),
      ],
      5,
    ],
    [
      "narrower windows pass",
      [settings([INITIAL_WINDOW_SIZE, 100]), settings([INITIAL_WINDOW_SIZE, 60])],
      [settings([INITIAL_WINDOW_SIZE, 100]), settings([INITIAL_WINDOW_SIZE, 60])],
      0,
    ],
  ] as const
) {
  test(`InitialWindow: ${name}, however it is cut`, () => {
    const input = Buffer.concat(sent);
    for (const size of [1, 4, 9, 15, input.length]) {
      const window = new InitialWindow(() => [1, 3]);
      const filter = new Http2FrameFilter("server", window);
      const passed: Uint8Array[] = [];
      for (let at = 0; at < input.length; at += size) {
        passed.push(...filter.push(input.subarray(at, at + size)));
      }
      assert.deepEqual(Buffer.concat(passed), Buffer.concat(wanted), `chunks of ${size}`);
      const told = window.opened(5);
      assert.deepEqual(told && Buffer.from(told), opened === 0 ? undefined : windowUpdate(5, opened));
    }
  }, { pure: true });
}

/** A string without Huffman code (RFC 7541, section 5.2). */
function string(text: string, encoding: "utf8" | "latin1" = "utf8"): Buffer {
  const length: number[] = [Math.min(text.length, 127)];
  for (let rest = text.length - 127; rest >= 0; rest = rest < 128 ? -1 : Math.floor(rest / 128)) {
    length.push(rest < 128 ? rest : rest % 128 + 128);
  }
  return Buffer.concat([Buffer.from(length), Buffer.from(text, encoding)]);
}

/** A field whose name has an index, or is written out; remembered by the decoder, or not. */
const INDEXED = Buffer.of(0x88), TABLE_SIZE = Buffer.of(0x3f, 0xe1, 0x1f);
const named = (value: string) => Buffer.concat([Buffer.of(0x0f, 0x33), string(value)]);
const spelled = (name: string, value: string) => Buffer.concat([Buffer.of(0), string(name), string(value)]);
const remembered = (value: string) => Buffer.concat([Buffer.of(0x7e), string(value)]);

/** A field whose value is "a" so many times, a multiple of 8, in Huffman code: 5 bytes for 8 of them. */
function huffman(letters: number): Buffer {
  const value = string("\x18\xc6\x31\x8c\x63".repeat(letters / 8), "latin1");
  value[0]! |= 0x80;
  return Buffer.concat([Buffer.of(0x0f, 0x33), value]);
}

/** The frames of a header block that ends its stream. */
function headers(block: Buffer, { padded = false, size = 16_384 } = {}): Buffer {
  const first = padded ? Buffer.concat([Buffer.of(3), block.subarray(0, size), Buffer.alloc(3)]) : block;
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < block.length; at += size) {
    const part = at === 0 && padded ? first : block.subarray(at, at + size);
    const one = frame(at === 0 ? 1 : 9, part.length);
    one[4] = (at === 0 ? padded ? 9 : 1 : 0) | (at + size >= block.length ? 4 : 0);
    one.writeUInt32BE(5, 5);
    part.copy(one, 9);
    frames.push(one);
  }
  return Buffer.concat(frames);
}

const LONG = "x".repeat(70_000), LEFT_OUT = "a value of 70000 bytes was left out";
const STATUS = spelled("grpc-status", "5");

for (
  const [name, sent, wanted] of [
    ["a block in one frame passes", [headers(STATUS, { padded: true }), DATA], [
      headers(STATUS, { padded: true }),
      DATA,
    ]],
    ["long values are replaced, wherever they are", [
      headers(Buffer.concat([TABLE_SIZE, INDEXED, named(LONG), STATUS, spelled("x", LONG)])),
      DATA,
    ], [
      headers(Buffer.concat([TABLE_SIZE, INDEXED, named(LEFT_OUT), STATUS, spelled("x", LEFT_OUT)])),
      DATA,
    ]],
    ["shorter ones stay, without padding", [
      headers(Buffer.concat([named("y".repeat(40_000)), STATUS]), { padded: true, size: 10_000 }),
    ], [headers(Buffer.concat([named("y".repeat(40_000)), STATUS]))]],
    ["a value in Huffman code is as long as it is decoded", [
      headers(Buffer.concat([huffman(65_000), STATUS])),
      headers(Buffer.concat([huffman(65_536), STATUS])),
    ], [
      headers(Buffer.concat([huffman(65_000), STATUS])),
      headers(Buffer.concat([named("a value of 65536 bytes was left out"), STATUS])),
    ]],
    ["one for which those before it leave no room is replaced, but not a short one", [
      headers(
        Buffer.concat([
          named("y".repeat(40_000)),
          named("y".repeat(26_000)),
          named("y".repeat(25_300)),
          STATUS,
        ]),
      ),
    ], [
      headers(Buffer.concat([
        named("y".repeat(40_000)),
        named("a value of 26000 bytes was left out"),
        named("y".repeat(25_300)),
        STATUS,
      ])),
    ]],
    ["one that the decoder remembers stays", [headers(Buffer.concat([remembered(LONG), STATUS]))], [
      headers(Buffer.concat([remembered(LONG), STATUS])),
    ]],
    ["a block that cannot be read stays", [headers(named(LONG).subarray(0, 69_000))], [
      headers(named(LONG).subarray(0, 69_000)),
    ]],
    [
      "a block over 4 MiB passes in parts",
      [headers(Buffer.concat(Array(70).fill(spelled("x", LONG))))],
      undefined,
    ],
  ] as const
) {
  test(`LongFields: ${name}, however it is cut`, () => {
    const input = Buffer.concat(sent);
    for (const size of wanted === undefined ? [input.length] : [9, 64, 16_000, input.length]) {
      const filter = new Http2FrameFilter("server", new LongFields());
      const passed: Uint8Array[] = [];
      for (let at = 0; at < input.length; at += size) {
        passed.push(...filter.push(input.subarray(at, at + size)));
      }
      if (wanted === undefined) assert.ok(passed.length > 1);
      else assert.ok(Buffer.concat(passed).equals(Buffer.concat(wanted)), `chunks of ${size}`);
    }
  }, { pure: true });
}
