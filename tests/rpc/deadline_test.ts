import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { deadlineOf, endWithin } from "../../lib/rpc/deadline.ts";
import { test } from "../harness.ts";

test(
  "deadlineOf(): no timeout, 0, a negative one and Infinity are no deadline; NaN is InvalidArgument",
  () => {
    for (const none of [undefined, 0, -1, Infinity]) assert.equal(deadlineOf(none).timeoutMs, undefined);
    assert.throws(() => deadlineOf(NaN), (error) => ConnectError.from(error).code === Code.InvalidArgument);
    assert.throws(() => deadlineOf(0.5), (error) => ConnectError.from(error).code === Code.DeadlineExceeded);
    assert.equal(deadlineOf(1e12).timeoutMs, 2_147_483_000);
  },
  { pure: true },
);

test(
  "endWithin(): after the deadline, a loss or a reset is DeadlineExceeded, and a status stays as it is",
  async () => {
    const reset = new ConnectError("the server reset the call", Code.Canceled);
    assert.equal(endWithin(deadlineOf(undefined), reset), reset);
    assert.equal(endWithin(deadlineOf(60_000), reset), reset);
    const passed = deadlineOf(1);
    while (!passed.passed) await Promise.resolve();
    const late = endWithin(passed, reset);
    assert.deepEqual([late.code, late.rawMessage], [Code.DeadlineExceeded, "the operation timed out"]);
    assert.equal(late.cause, reset);
    const status = new ConnectError("no", Code.NotFound);
    status.isWireError = true;
    assert.equal(endWithin(passed, status), status);
  },
  { pure: true },
);
