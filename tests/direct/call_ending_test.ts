import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { EndingListener } from "../../lib/direct/call_ending.ts";
import type { CallEnd } from "../../lib/rpc/carrier.ts";
import { test } from "../harness.ts";

test("EndingListener reports one end and nothing after it, and nothing at all once muted", () => {
  const reportedBy = (act: (listener: EndingListener) => void) => {
    const ends: CallEnd[] = [];
    const heard: string[] = [];
    const listener = new EndingListener({
      headers: () => heard.push("headers"),
      message: () => heard.push("message"),
      end: (end) => ends.push(end),
    });
    act(listener);
    act(listener);
    listener.headers(() => new Metadata());
    listener.message(new Uint8Array(0));
    assert.deepEqual(heard, []);
    return ends.map(({ error }) => error?.code);
  };
  const reset = new ConnectError("the server reset the call", Code.Canceled);
  assert.deepEqual(reportedBy((listener) => listener.fail(reset)), [Code.Canceled]);
  assert.deepEqual(reportedBy((listener) => listener.mute()), []);
}, { pure: true });
