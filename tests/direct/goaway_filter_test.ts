import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { GoawayFilter } from "../../lib/direct/goaway_filter.ts";
import { test } from "../harness.ts";

/** What a client sends before its first frame; a server begins with a frame. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, payload: number): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload, 0, 3);
  header[3] = type;
  return Buffer.concat([header, Buffer.alloc(payload, type)]);
}

function goaway(lastStreamId: number, debugBytes = 0): Buffer {
  const whole = frame(7, 8 + debugBytes);
  whole.writeUInt32BE(lastStreamId, 9);
  return whole;
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
    ["those between frames are left out", "client", [PREFACE, goaway(5), EMPTY, goaway(3, 20), DATA], [
      PREFACE,
      EMPTY,
      DATA,
    ], [5, 3]],
    [
      "a server's are left out, both of a graceful shutdown",
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
      const filter = new GoawayFilter(side, (lastStreamId) => told.push(lastStreamId));
      const passed: Buffer[] = [];
      for (let at = 0; at < input.length; at += size) {
        passed.push(...filter.push(input.subarray(at, at + size)));
      }
      assert.deepEqual(Buffer.concat(passed), Buffer.concat(wanted), `chunks of ${size}`);
      assert.deepEqual(told, last, `chunks of ${size}`);
    }
  }, { pure: true });
}
