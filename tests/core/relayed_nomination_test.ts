import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { crc32 } from "node:zlib";
import { nominatingMessage, readRelayedCheck } from "../../lib/core/ice/relayed_nomination.ts";
import { test } from "../harness.ts";

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replace(/\s/g, ""), "hex"));
const hex = (value: Uint8Array) => Buffer.from(value).toString("hex");

const COOKIE = "2112a442", TRANSACTION = "b7e7a701bc34d686fa87dfae";
const PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt";

/** The attributes of the request of RFC 5769 §2.1 in front of its signature, padded with zeros. */
const ATTRIBUTES = "8022 0010 5354554e 20746573 7420636c 69656e74" + "0024 0004 6e0001ff" +
  "8029 0008 932ff9b151263b36" + "0006 0009 6576746a 3a683676 59000000";
const SIGNATURE = "0008 0014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2", FINGERPRINT = "8028 0004 e57a3bcf";
const REQUEST = `0001 0058 ${COOKIE} ${TRANSACTION} ${ATTRIBUTES} ${SIGNATURE} ${FINGERPRINT}`;
/** 192.0.2.1:32853, of RFC 5769 §2.2. */
const PEER = "0012 0008 0001 a147 e112a643";
const indication = (attributes: string) =>
  bytes(
    `0016 ${bytes(attributes).length.toString(16).padStart(4, "0")} ${COOKIE} ${
      "00".repeat(12)
    } ${attributes}`,
  );
const CHECK = indication(`${PEER} 0013 006c ${REQUEST}`);

test(
  "readRelayedCheck() reads the machine's end and the request of a check, and nothing from other messages",
  () => {
    const check = readRelayedCheck(CHECK)!;
    assert.equal(check.peer, "192.0.2.1:32853");
    assert.equal(hex(check.request), hex(bytes(REQUEST)));
    const others: readonly Uint8Array[] = [
      new Uint8Array(0),
      bytes(REQUEST),
      CHECK.subarray(0, 40),
      indication(PEER),
      indication(`${PEER} 0013 0004 16fefd00`),
      indication(`${PEER} 0013 0014 0101 0000 ${COOKIE} ${TRANSACTION}`),
      indication(`0013 006c ${REQUEST}`),
      indication(`0012 0014 0002 a147 ${"00".repeat(16)} 0013 006c ${REQUEST}`),
    ];
    for (const other of others) assert.equal(readRelayedCheck(other), undefined, hex(other));
  },
  { pure: true },
);

test("nominatingMessage() repeats a check with USE-CANDIDATE, signed and marked anew", () => {
  const transaction = bytes("000102030405060708090a0b");
  const sign = (signed: Uint8Array) => createHmac("sha1", PASSWORD).update(signed).digest();
  const message = nominatingMessage(readRelayedCheck(CHECK)!, transaction, sign, crc32);
  // The lengths count what follows: first the signature, then the fingerprint (RFC 8489 §14.5, §14.7).
  const kept = `${COOKIE} ${hex(transaction)} ${ATTRIBUTES} 0025 0000`;
  const signature = hex(sign(bytes(`0001 0054 ${kept}`)));
  const marked = `0001 005c ${kept} 0008 0014 ${signature}`;
  const mark = ((crc32(bytes(marked)) ^ 0x5354554e) >>> 0).toString(16).padStart(8, "0");
  assert.equal(hex(message.subarray(20)), hex(bytes(`${PEER} 0013 0070 ${marked} 8028 0004 ${mark}`)));
  assert.equal(hex(message.subarray(0, 8)), hex(bytes(`0016 0080 ${COOKIE}`)));
  // A check that nominates already is no other.
  assert.equal(hex(nominatingMessage(readRelayedCheck(message)!, transaction, sign, crc32)), hex(message));
}, { pure: true });
