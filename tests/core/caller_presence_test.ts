import assert from "node:assert/strict";
import { CallerPresence, LOOK_MS } from "../../lib/core/channel/caller_presence.ts";
import { test } from "../harness.ts";

test(
  "CallerPresence asks once after 1.5 s of silence, and gives the caller up after 8 s",
  () => {
    const presence = new CallerPresence(0);
    const log: [number, string][] = [];
    for (let now = LOOK_MS; now <= 9_000; now += LOOK_MS) {
      const todo = presence.look(now);
      if (todo !== "nothing") log.push([now, todo]);
      if (todo === "gone") break;
    }
    assert.deepEqual(log, [[1_500, "ask"], [8_000, "gone"]]);
  },
  { pure: true },
);

test("CallerPresence keeps an idle caller while its engine answers", () => {
  const presence = new CallerPresence(0);
  let asked = 0;
  for (let now = LOOK_MS; now <= 3_600_000; now += LOOK_MS) {
    const todo = presence.look(now);
    assert.notEqual(todo, "gone", `at ${now}`);
    if (todo !== "ask") continue;
    asked++;
    // A slow answer, as after a loss or on a slow link.
    if (asked % 2 === 0) presence.seen(now + 20);
    else for (let wait = 0; wait < 6; wait++) presence.look(now += LOOK_MS);
    presence.seen(now);
  }
  assert.ok(asked > 500);
}, { pure: true });

test("CallerPresence does not ask a caller that sends", () => {
  const presence = new CallerPresence(0);
  for (let now = LOOK_MS; now <= 60_000; now += LOOK_MS) {
    presence.seen(now - 10);
    assert.equal(presence.look(now), "nothing");
  }
}, { pure: true });

test("CallerPresence does not blame a caller for a stall of its own machine", () => {
  const presence = new CallerPresence(0);
  assert.equal(presence.look(30_000), "nothing");
  assert.equal(presence.look(30_500), "nothing");
  for (let now = 31_000; now < 38_000; now += LOOK_MS) assert.notEqual(presence.look(now), "gone");
  assert.equal(presence.look(38_000), "gone");
}, { pure: true });
