import assert from "node:assert/strict";
import { Http2Upload } from "../../lib/direct/http2_upload.ts";
import { test } from "../harness.ts";

/** A stream that writes down what it is given, and whose writes end when the test says so. */
function recorded() {
  const log: string[] = [], writes: ((error?: Error) => void)[] = [], sent: number[] = [];
  const upload = new Http2Upload(
    {
      write(chunk, done) {
        log.push(`write ${chunk.length}`);
        writes.push(done);
      },
      end: (chunk) => void log.push(chunk === undefined ? "end" : `end ${chunk.length}`),
    },
    (messages) => new Uint8Array(messages.reduce((size, message) => size + message.length, 0)),
    () => () => log.push("written"),
  );
  let count = 0;
  const send = (length: number, last = false) => {
    const number = count++;
    upload.write(new Uint8Array(length), last, () => sent.push(number));
  };
  return { upload, log, writes, sent, send };
}

test("Http2Upload writes the first message at once, and those that come meanwhile together", () => {
  const { upload, log, writes, sent, send } = recorded();
  send(1);
  send(2);
  send(3);
  assert.deepEqual([log, sent], [["write 1"], []]);
  writes[0]!();
  assert.deepEqual([log, sent], [["write 1", "written", "write 5"], [0]]);
  send(4);
  upload.halfClose();
  assert.deepEqual(log.slice(3), ["end 4"]);
  writes[1]!();
  assert.deepEqual([log.slice(4), sent], [["written"], [0, 1, 2]]);
}, { pure: true });

test("Http2Upload lets no large message wait, and keeps the order", () => {
  const { log, writes, send } = recorded();
  send(1);
  send(10);
  send(20_000);
  send(30);
  assert.deepEqual(log, ["write 1", "write 20010"]);
  writes[0]!();
  assert.deepEqual(log.slice(2), ["written"]);
  writes[1]!();
  assert.deepEqual(log.slice(3), ["written", "write 30"]);
  send(40, true);
  assert.deepEqual(log.slice(5), ["end 40"]);
}, { pure: true });

test("Http2Upload sends nothing after the end of the call, or of the stream", () => {
  for (const end of ["close", "failed write"]) {
    const { upload, log, writes, send } = recorded();
    send(1);
    send(2);
    if (end === "close") upload.close();
    writes[0]!(end === "close" ? undefined : new Error("the stream is gone"));
    assert.deepEqual(log.filter((entry) => entry !== "written"), ["write 1"], end);
  }
}, { pure: true });
