import assert from "node:assert/strict";
import { livePeers } from "../../lib/webrtc/peer.ts";
import { dial, type DialEvent, type DialOptions } from "../../mod.ts";
import { eventually } from "../dial/leaks.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

/*
 * A goutils machine has two answerers, and one that is not freed is held for ten seconds (protocol §5.2): after two
 * dials that hold one each, everybody else's would wait.
 */

/** Well below the ten seconds for which an answerer is held, in milliseconds. */
const SOON_MS = 5_000;

const options: DialOptions = { insecure: true };

/** Dials, and gives the dial up when a phase is over. */
async function dialUntil(address: string, phase: string): Promise<void> {
  const stop = new AbortController();
  const enough = new Error("enough");
  const onEvent = (event: DialEvent) => {
    if (event.type === "progress" && event.entry.phase === phase) stop.abort(enough);
  };
  await assert.rejects(dial(address, { ...options, signal: stop.signal, onEvent }), enough);
}

const rude: readonly [title: string, behave: (address: string) => Promise<void>][] = [
  ["is aborted with its offer on the way", (address) => dialUntil(address, "offer")],
  ["is aborted with its answer there", (address) => dialUntil(address, "signaling")],
  ["is closed as soon as it is open", async (address) => await (await dial(address, options)).close()],
];

for (const [title, behave] of rude) {
  test(`a dial that ${title} holds no answerer of a machine on pion`, async () => {
    await using machine = await startGoMachine("-report");
    const began = performance.now();
    for (let time = 0; time < 3; time++) await behave(machine.address);
    await using channel = await dial(machine.address, { ...options, timeoutMs: SOON_MS });
    assert.equal(channel.kind, "webrtc");
    await machine.untilBusy(0);
    const tookMs = performance.now() - began;
    assert.ok(tookMs < SOON_MS, `an answerer was held for ${tookMs.toFixed(0)} ms`);
    await channel.close();
    await eventually(() => livePeers() === 0, () => `${livePeers()} peers are left`);
  }, { skip: missing("go"), timeoutMs: 300_000 });
}
