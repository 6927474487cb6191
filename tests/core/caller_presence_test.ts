import assert from "node:assert/strict";
import { CallerPresence, LOOK_MS } from "../../lib/core/channel/caller_presence.ts";
import { test } from "../harness.ts";

test(
  "CallerPresence asks after a while of silence, once, and gives the caller up after eight seconds",
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

test("CallerPresence keeps an idle caller for ever as long as its engine answers", () => {
  const presence = new CallerPresence(0);
  let asked = 0;
  for (let now = LOOK_MS; now <= 3_600_000; now += LOOK_MS) {
    const todo = presence.look(now);
    assert.notEqual(todo, "gone", `at ${now}`);
    if (todo !== "ask") continue;
    asked++;
    // Now and then the answer takes its time: a loss, a slow link.
    if (asked % 2 === 0) presence.seen(now + 20);
    else for (let wait = 0; wait < 6; wait++) presence.look(now += LOOK_MS);
    presence.seen(now);
  }
  assert.ok(asked > 500);
}, { pure: true });

test("CallerPresence does not ask a caller that is heard", () => {
  const presence = new CallerPresence(0);
  for (let now = LOOK_MS; now <= 60_000; now += LOOK_MS) {
    presence.seen(now - 10);
    assert.equal(presence.look(now), "nothing");
  }
}, { pure: true });

test("CallerPresence does not hold its own machine's stalls against a caller", () => {
  const presence = new CallerPresence(0);
  assert.equal(presence.look(30_000), "nothing");
  assert.equal(presence.look(30_500), "nothing");
  for (let now = 31_000; now < 38_000; now += LOOK_MS) assert.notEqual(presence.look(now), "gone");
  assert.equal(presence.look(38_000), "gone");
}, { pure: true });
