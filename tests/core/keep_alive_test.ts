import assert from "node:assert/strict";
import { calmerTimes, KeepAlive } from "../../lib/core/http2/keep_alive.ts";
import { test } from "../harness.ts";

/** Looks in order: "." for a silent one, "h" where something was heard since the last; then what is done at each. */
const table: readonly (readonly [title: string, intervalMs: number, looks: string, done: string])[] = [
  ["pings after so much silence", 3_000, "...", "--p"],
  ["does not ping while something comes", 2_000, "h.h.h.h.", "--------"],
  ["counts from the last that came", 2_000, ".h..", "---p"],
  ["rounds a short interval up to one look", 200, ".h.", "p-p"],
  ["waits ten looks for an answer, and gives up", 1_000, "...........", "p---------x"],
  ["goes on after an answer at the last moment", 1_000, "..........h.", "p----------p"],
  // Its event loop turns once, and what has come meanwhile is read before the next look.
  [
    "forgives a program that computes for 11 s after a ping",
    20_000,
    "....................".concat(".h"),
    "-------------------p--",
  ],
];

for (const [title, intervalMs, looks, done] of table) {
  test(`KeepAlive ${title}`, () => {
    const keepAlive = new KeepAlive();
    const did = [...looks].map((look) =>
      ({ ping: "p", lost: "x", nothing: "-" })[keepAlive.look(look === "h", intervalMs)]
    );
    assert.equal(did.join(""), done);
  }, { pure: true });
}

test("calmerTimes() doubles the interval after ENHANCE_YOUR_CALM, and lets no question come sooner", () => {
  const table = [
    [{ intervalMs: 20_000, questionMs: 10_000 }, 11, { intervalMs: 40_000, questionMs: 40_000 }],
    [{ intervalMs: 40_000, questionMs: 40_000 }, 11, { intervalMs: 80_000, questionMs: 80_000 }],
    [{ intervalMs: 1_000, questionMs: 10_000 }, 11, { intervalMs: 2_000, questionMs: 10_000 }],
    [{ intervalMs: 20_000, questionMs: 10_000 }, 0, undefined],
    [{ intervalMs: 0, questionMs: 10_000 }, 11, undefined],
  ] as const;
  for (const [times, code, calmer] of table) assert.deepEqual(calmerTimes(times, code), calmer);
}, { pure: true });
