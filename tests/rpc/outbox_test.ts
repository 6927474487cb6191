import assert from "node:assert/strict";
import { Outbox, type Outlet } from "../../lib/rpc/outbox.ts";
import { test } from "../harness.ts";

/** Writes down what it is given. */
function recorder(): Outlet & { readonly log: string[]; readonly sent: (() => void)[] } {
  const log: string[] = [], sent: (() => void)[] = [];
  return {
    log,
    sent,
    write(message, last, done) {
      log.push(`${message.length}${last ? " last" : ""}`);
      sent.push(done);
    },
    halfClose: () => void log.push("half-close"),
  };
}

const bytes = (length: number) => new Uint8Array(length);

test("Outbox holds messages until it has an outlet, then delivers them in order", () => {
  const outbox = new Outbox();
  outbox.send(bytes(1), false);
  outbox.send(bytes(2), true);
  const outlet = recorder();
  outbox.attach(outlet);
  assert.deepEqual(outlet.log, ["1", "2 last"]);
  assert.equal(outbox.size, 3);

  const silent = new Outbox();
  silent.halfClose();
  const other = recorder();
  silent.attach(other);
  assert.deepEqual(other.log, ["half-close"]);
}, { pure: true });

test("Outbox delivers everything again to the next outlet, and nothing more to the one before", () => {
  const outbox = new Outbox(100);
  const first = recorder(), second = recorder();
  outbox.attach(first);
  outbox.send(bytes(1), false);
  assert.ok(outbox.isRepeatable);
  outbox.detach();
  outbox.send(bytes(2), false);
  outbox.attach(second);
  outbox.halfClose();
  assert.deepEqual(first.log, ["1"]);
  assert.deepEqual(second.log, ["1", "2", "half-close"]);
}, { pure: true });

test("Outbox keeps messages up to its bound, and until the server has answered", () => {
  const large = new Outbox(100);
  large.send(bytes(1_000), false);
  assert.ok(large.isRepeatable, "nothing is sent yet");
  large.attach(recorder());
  assert.ok(!large.isRepeatable);

  const answered = new Outbox(100);
  answered.attach(recorder());
  answered.settle();
  assert.ok(!answered.isRepeatable);
}, { pure: true });

test(
  "Outbox lets senders wait while 256 KiB are waiting, and until the call is over at the latest",
  async () => {
    const outbox = new Outbox();
    const outlet = recorder();
    outbox.attach(outlet);
    assert.equal(outbox.send(bytes(200_000), false), undefined);
    const room = outbox.send(bytes(200_000), false);
    assert.ok(room instanceof Promise);
    outlet.sent[0]!();
    await room;
    const next = outbox.send(bytes(200_000), false);
    assert.ok(next instanceof Promise);
    outbox.close();
    await next;
    assert.equal(outbox.send(bytes(1), false), undefined);
    assert.equal(outlet.log.length, 3);
  },
  { pure: true },
);
