import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { test } from "../harness.ts";

test("a stream that has ended leaves no listener with a signal of its caller, however much of it was read", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using channel = await dialDirect(machine.address, { insecure: true });
  const { download } = createClient(ProbeService, channel);
  const { signal } = new AbortController();
  const { addEventListener, removeEventListener } = signal;
  let listeners = 0;
  const gone = Promise.withResolvers<void>();
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof addEventListener>) {
      listeners++;
      addEventListener.apply(signal, args);
    },
    removeEventListener(...args: Parameters<typeof removeEventListener>) {
      removeEventListener.apply(signal, args);
      if (--listeners === 0) gone.resolve();
    },
  });
  const streams = Array.from({ length: 20 }, async () => {
    for await (const _ of download({ size: 10, count: 5 }, { signal })) break;
  });
  await Promise.all(streams);
  await gone.promise;
  assert.equal(listeners, 0);
});
