import assert from "node:assert/strict";
import { Upload } from "../../lib/direct/fetch_upload.ts";
import { Outbox } from "../../lib/rpc/outbox.ts";
import { test } from "../harness.ts";

test("an upload whose body is cancelled holds its senders until the call is over", async () => {
  const outbox = new Outbox();
  const upload = new Upload((messages) => messages[0]!);
  const reader = upload.body.getReader();
  outbox.attach(upload);
  outbox.settle();
  assert.equal(outbox.send(Uint8Array.of(1), false), undefined);
  assert.deepEqual((await reader.read()).value, Uint8Array.of(1));
  await reader.cancel();
  let room: Promise<void> | undefined;
  // A sender that never has to wait would let nothing else happen, not even the end of the call.
  for (let sent = 0; room === undefined; sent++) {
    assert.ok(sent < 100_000);
    room = outbox.send(new Uint8Array(0), false);
  }
  outbox.close();
  await room;
  assert.equal(outbox.send(Uint8Array.of(3), false), undefined);
});
