import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, startMachine } from "../../lib/testing/mod.ts";
import { DialError, type DialEvent, DialOptions, DialOptionsError, watchDial } from "../../mod.ts";
import { test, within } from "../harness.ts";

/** What a loop over a dial has seen, a word an event. */
async function seenOf(events: AsyncIterable<DialEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) {
    seen.push(event.type === "progress" ? `${event.entry.phase} ${event.entry.ok}` : event.type);
  }
  return seen;
}

test("watchDial() shows each step of a dial in a loop that ends with it, and leads to the channel", async () => {
  await using machine = await startMachine();
  const told: string[] = [];
  const watch = watchDial(machine.address, {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
    onEvent: ({ type }) => void told.push(type),
  });
  const seen = await within(20_000, () => seenOf(watch));
  assert.deepEqual([seen[0], seen.at(-1)], ["connecting", "connected"]);
  for (const phase of ["connect", "authenticate", "signaling", "channel"]) {
    assert.ok(seen.includes(`${phase} true`), seen.join());
  }
  assert.equal(told.length, seen.length);
  await using channel = await watch.channel;
  assert.equal((await createClient(EchoService, channel).echo({ message: "hello" })).message, "hello");
});

test("watchDial() of a dial that fails ends its loop, and rejects with what dial() throws", async () => {
  const watch = watchDial("127.0.0.1:9", { insecure: true });
  const seen = await within(20_000, () => seenOf(watch));
  assert.deepEqual(seen, ["connecting", "connect false"]);
  await assert.rejects(watch.channel, DialError);
  assert.deepEqual(await seenOf(watch), []);
});

test("watchDial() goes on dialing when its loop is left", async () => {
  await using machine = await startMachine({ auth: "none" });
  const watch = watchDial(machine.address, { insecure: true });
  for await (const _ of watch) break;
  await using channel = await watch.channel;
  assert.equal(channel.state, "connected");
});

test("watchDial() takes and refuses the options that dial() does", async () => {
  await using machine = await startMachine({ auth: "none" });
  class Own {
    get insecure() {
      return true;
    }
  }
  await using channel = await watchDial(machine.address, new Own()).channel;
  assert.equal(channel.state, "connected");
  for (const options of [{ insecure: true, onEvent: "nothing to call" }, null]) {
    const watch = watchDial(machine.address, options as never);
    assert.deepEqual(await seenOf(watch), []);
    await assert.rejects(watch.channel, DialOptionsError);
  }
});
