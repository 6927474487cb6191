import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { deadlineOf, ending, lossOf } from "../../lib/direct/call_ending.ts";
import type { CallEnd } from "../../lib/rpc/carrier.ts";
import { test } from "../harness.ts";

const RESET = new ConnectError("the server reset the call", Code.Canceled);

test(
  "lossOf() gives the deadline as the reason once that has passed, with what was heard as its cause",
  () => {
    assert.equal(lossOf(RESET, deadlineOf(undefined)), RESET);
    assert.equal(lossOf(RESET, deadlineOf(60_000)), RESET);
    const late = lossOf(RESET, performance.now());
    assert.deepEqual([late.code, late.rawMessage], [Code.DeadlineExceeded, "the operation timed out"]);
    assert.equal(late.cause, RESET);
  },
  { pure: true },
);

test("ending() tells a status that came late as it is, and a loss as the deadline's", () => {
  const told = (act: (listener: ReturnType<typeof ending>) => void) => {
    const ends: CallEnd[] = [];
    const heard: string[] = [];
    const listener = ending({
      headers: () => heard.push("headers"),
      message: () => heard.push("message"),
      end: (end) => ends.push(end),
    }, performance.now());
    act(listener);
    act(listener);
    listener.headers(new Metadata());
    listener.message(new Uint8Array(0));
    assert.deepEqual(heard, []);
    return ends.map(({ error }) => error?.code);
  };
  assert.deepEqual(told((listener) => listener.lose(RESET)), [Code.DeadlineExceeded]);
  assert.deepEqual(told((listener) => listener.fail(RESET)), [Code.Canceled]);
  assert.deepEqual(told((listener) => listener.mute()), []);
}, { pure: true });
