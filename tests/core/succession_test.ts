import assert from "node:assert/strict";
import { type Happening, type Standing, type Step, succeed } from "../../lib/core/dial/succession.ts";
import { test } from "../harness.ts";

const stories: readonly [
  title: string,
  happenings: readonly Happening[],
  Standing,
  steps: readonly Step[],
][] = [
  ["an answer ends a doubt", ["doubted", "alive"], "trusted", ["hold", "release"]],
  ["silence leads from doubt to suspicion", ["doubted", "suspected"], "suspected", ["hold", "connect"]],
  ["a connection that speaks again stays, and the other is dropped", ["suspected", "alive"], "trusted", [
    "hold",
    "connect",
    "release",
    "drop",
  ]],
  ["the other connection takes over from a silent one", ["suspected", "opened"], "trusted", [
    "hold",
    "connect",
    "replace",
    "release",
  ]],
  ["a suspected connection is waited for where no other can be made", ["suspected", "failed"], "alone", [
    "hold",
    "connect",
  ]],
  ["a connection that was waited for speaks again", ["suspected", "failed", "alive"], "trusted", [
    "hold",
    "connect",
    "release",
    "drop",
  ]],
  ["a suspected connection that is lost makes the other the first attempt", ["suspected", "lost"], "lost", [
    "hold",
    "connect",
    "reconnect",
  ]],
  ["a connection that is lost without warning is reconnected", ["lost", "opened"], "trusted", [
    "hold",
    "reconnect",
    "release",
  ]],
  ["a connection that was lost does not come back", ["lost", "alive"], "lost", ["hold", "reconnect"]],
  ["an attempt that opens too late changes nothing", ["suspected", "alive", "opened"], "trusted", [
    "hold",
    "connect",
    "release",
    "drop",
  ]],
  ["suspicion begins again after it has ended", ["suspected", "opened", "suspected", "alive"], "trusted", [
    "hold",
    "connect",
    "replace",
    "release",
    "hold",
    "connect",
    "release",
    "drop",
  ]],
];
for (const [title, happenings, expected, steps] of stories) {
  test(`succeed(): ${title}`, () => {
    let standing: Standing = "trusted";
    const taken: Step[] = [];
    for (const happening of happenings) {
      const next = succeed(standing, happening);
      standing = next.standing;
      taken.push(...next.steps);
    }
    assert.equal(standing, expected);
    assert.deepEqual(taken, steps);
  }, { pure: true });
}

const HAPPENINGS: readonly Happening[] = ["doubted", "suspected", "alive", "lost", "opened", "failed"];

test("succeed() holds calls exactly while the connection is not trusted, and tries at most one other", () => {
  // Every sequence of six events.
  function follow(standing: Standing, isHeld: boolean, attempts: number, depth: number): void {
    assert.equal(isHeld, standing !== "trusted", standing);
    assert.ok(attempts === 0 || attempts === 1, `${attempts} attempts while ${standing}`);
    if (depth === 0) return;
    for (const happening of HAPPENINGS) {
      const next = succeed(standing, happening);
      let held = isHeld, others = attempts;
      for (const step of next.steps) {
        if (step === "hold") held = true;
        if (step === "release") held = false;
        if (step === "connect") others++;
        if (step === "drop" || step === "replace" || step === "reconnect") others = 0;
      }
      follow(next.standing, held, others, depth - 1);
    }
  }
  follow("trusted", false, 0, 6);
}, { pure: true });

test("succeed() leaves a closed channel closed", () => {
  for (const happening of HAPPENINGS) {
    assert.deepEqual(succeed("closed", happening), { standing: "closed", steps: [] });
  }
}, { pure: true });
