import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { GoawayFilter } from "../../lib/testing/goaway_filter.ts";
import { test } from "../harness.ts";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, payload: number): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload, 0, 3);
  header[3] = type;
  return Buffer.concat([header, Buffer.alloc(payload, type)]);
}

const SETTINGS = frame(4, 12),
  HEADERS = frame(1, 40),
  DATA = frame(0, 300),
  GOAWAY = frame(7, 8),
  EMPTY = frame(0, 0);

for (
  const [name, sent, wanted] of [
    ["without a GOAWAY everything passes", [PREFACE, SETTINGS, HEADERS, DATA], [
      PREFACE,
      SETTINGS,
      HEADERS,
      DATA,
    ]],
    ["a GOAWAY at the end is left out", [PREFACE, SETTINGS, HEADERS, DATA, GOAWAY], [
      PREFACE,
      SETTINGS,
      HEADERS,
      DATA,
    ]],
    ["a GOAWAY between frames is left out", [PREFACE, SETTINGS, GOAWAY, EMPTY, GOAWAY, DATA], [
      PREFACE,
      SETTINGS,
      EMPTY,
      DATA,
    ]],
  ] as const
) {
  test(`GOAWAY filter: ${name}, however it is cut`, () => {
    const input = Buffer.concat(sent);
    for (const size of [1, 2, 5, 9, 13, 64, input.length]) {
      const filter = new GoawayFilter();
      const passed: Buffer[] = [];
      for (let at = 0; at < input.length; at += size) {
        passed.push(...filter.push(input.subarray(at, at + size)));
      }
      assert.deepEqual(Buffer.concat(passed), Buffer.concat(wanted), `chunks of ${size}`);
    }
  }, { pure: true });
}
