import assert from "node:assert/strict";
import { type AbandonedAttempt, lingerMs } from "../../lib/core/ice/abandonment.ts";
import { test } from "../harness.ts";

test("lingerMs() finishes what an answerer has taken, and soon withdraws what none has", () => {
  const attempt: AbandonedAttempt = {
    offeredMs: 0,
    roundTripMs: 10,
    isAnswered: false,
    isLibdatachannel: false,
  };
  const table: readonly (readonly [title: string, change: Partial<AbandonedAttempt>, lingers: number])[] = [
    ["no offer was sent", { offeredMs: undefined }, 0],
    ["the offer was just sent", {}, 520],
    ["the offer was sent a while ago", { offeredMs: 500 }, 20],
    ["the offer has waited long", { offeredMs: 521 }, 0],
    ["the path is slow", { roundTripMs: 200 }, 900],
    ["the path is very slow", { roundTripMs: 3_000 }, 5_000],
    ["the offer was answered", { isAnswered: true, offeredMs: 5_000 }, 1_580],
    ["the offer was answered on a slow path", { isAnswered: true, roundTripMs: 300 }, 3_900],
    ["the offer was answered on a very slow path", { isAnswered: true, roundTripMs: 1_000 }, 5_000],
    ["the machine is on libdatachannel", { isLibdatachannel: true }, 0],
    ["the answer is libdatachannel's", { isLibdatachannel: true, isAnswered: true }, 0],
  ];
  for (const [title, change, expected] of table) {
    assert.equal(lingerMs({ ...attempt, ...change }), expected, title);
  }
}, { pure: true });
