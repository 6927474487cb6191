import assert from "node:assert/strict";
import { Upload } from "../../lib/direct/fetch_upload.ts";
import { test } from "../harness.ts";

test("an upload whose body is cancelled holds its senders until the call is over", async () => {
  const upload = new Upload((messages) => messages[0]!);
  const reader = upload.open().getReader();
  upload.answered();
  assert.equal(upload.write(Uint8Array.of(1)), undefined);
  assert.deepEqual((await reader.read()).value, Uint8Array.of(1));
  await reader.cancel();
  const room = upload.write(Uint8Array.of(2));
  assert.ok(room instanceof Promise);
  let resolved = false;
  void room.then(() => resolved = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(resolved, false);
  upload.stop();
  await room;
  assert.equal(upload.write(Uint8Array.of(3)), undefined);
});
