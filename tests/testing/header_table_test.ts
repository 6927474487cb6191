import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect } from "node:net";
import { startMachine } from "../../lib/testing/mod.ts";
import { test } from "../harness.ts";

const DATA = 0, HEADERS = 1, SETTINGS = 4;
const HEADER_TABLE_SIZE = 1;

function frame(type: number, flags: number, stream: number, payload: readonly number[]): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

function literal(name: string, value: string): number[] {
  return [0x10, name.length, ...Buffer.from(name), value.length, ...Buffer.from(value)];
}

/** Finds what a block of headers adds to the table of HPACK, or takes from it (RFC 7541, section 6). */
function usesOfTable(block: Buffer): string[] {
  const found: string[] = [];
  let at = 0;
  const integer = (bits: number) => {
    const most = (1 << bits) - 1;
    let value = block[at++]! & most;
    if (value < most) return value;
    for (let shift = 0;; shift += 7) {
      const byte = block[at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const skipText = () => {
    const length = integer(7);
    at += length;
  };
  while (at < block.length) {
    const byte = block[at]!;
    const isUpdate = (byte & 0xe0) === 0x20;
    const isAdded = (byte & 0xc0) === 0x40;
    if (isUpdate) {
      if (integer(5) > 0) found.push("a size above 0");
      continue;
    }
    const index = integer(byte & 0x80 ? 7 : isAdded ? 6 : 4);
    if (index > 61) found.push(`index ${index}`);
    if (byte & 0x80) continue;
    if (isAdded) found.push("an entry");
    if (index === 0) skipText();
    skipText();
  }
  return found;
}

test("a machine's answers use no header table where the client allows none, as nginx does", async () => {
  await using machine = await startMachine({ auth: "none" });
  const port = Number(machine.address.split(":").at(-1));
  const socket = connect(port, "127.0.0.1");
  const blocks: Buffer[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      let bytes = Buffer.alloc(0);
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
          const length = bytes.readUIntBE(0, 3);
          if (bytes[3] === HEADERS) blocks.push(bytes.subarray(9, 9 + length));
          bytes = bytes.subarray(9 + length);
        }
        if (blocks.length >= 6) resolve();
      });
      socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      socket.write(frame(SETTINGS, 0, 0, [0, HEADER_TABLE_SIZE, 0, 0, 0, 0]));
      for (const stream of [1, 3, 5]) {
        const headers = [
          ...literal(":method", "POST"),
          ...literal(":scheme", "http"),
          ...literal(":path", "/proto.rpc.examples.echo.v1.EchoService/Echo"),
          ...literal(":authority", "machine"),
          ...literal("content-type", "application/grpc"),
          ...literal("te", "trailers"),
        ];
        socket.write(frame(HEADERS, 4, stream, headers));
        socket.write(frame(DATA, 1, stream, [0, 0, 0, 0, 0]));
      }
    });
  } finally {
    socket.destroy();
  }
  assert.deepEqual(blocks.flatMap(usesOfTable), []);
});
