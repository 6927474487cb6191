import assert from "node:assert/strict";
import { MachineSessions, MAX_SESSIONS } from "../../lib/core/session/machine_sessions.ts";
import { test } from "../harness.ts";

const left = { service: "acme.Motor", name: "left" }, right = { service: "acme.Motor", name: "right" };

function session(id: string, owner = "ann") {
  return { id, owner, protocol: "grpc" };
}

test(
  "MachineSessions: any sign of life extends a session by the window, and one that comes too late does not",
  () => {
    const sessions = new MachineSessions(100);
    sessions.start(0, session("a"));
    assert.equal(sessions.nextExpiry(), 100);
    assert.equal(sessions.extend(99, session("a")), true);
    assert.equal(sessions.nextExpiry(), 199);
    assert.deepEqual(sessions.alive(198).map(({ id }) => id), ["a"]);
    assert.deepEqual(sessions.alive(199), []);
    assert.equal(sessions.extend(199, session("a")), false);
    sessions.expire(199);
    assert.equal(sessions.nextExpiry(), undefined);
  },
  { pure: true },
);

test("MachineSessions: a session is its owner's alone", () => {
  const sessions = new MachineSessions(100);
  sessions.start(0, session("a"));
  assert.equal(sessions.extend(50, session("a", "bob")), false);
  assert.equal(sessions.nextExpiry(), 100);
  assert.equal(sessions.extend(50, session("b")), false);
}, { pure: true });

test("MachineSessions: alive() has the protocol of the last sign of life", () => {
  const sessions = new MachineSessions(100);
  sessions.start(0, session("a"));
  sessions.extend(1, { ...session("a"), protocol: "webrtc" });
  assert.deepEqual(sessions.alive(2), [{ id: "a", owner: "ann", protocol: "webrtc" }]);
}, { pure: true });

test("MachineSessions: expire() names what the session was the last to move, once", () => {
  type Moves = readonly (readonly [resource: typeof left, id: string | undefined])[];
  const table: readonly (readonly [what: string, moves: Moves, stopped: readonly (typeof left)[]])[] = [
    ["nothing was moved", [], []],
    ["it moved both", [[left, "a"], [right, "a"]], [left, right]],
    ["it moved one twice", [[left, "a"], [left, "a"]], [left]],
    ["another session moved it since", [[left, "a"], [left, "b"]], []],
    ["it moved it after another", [[left, "b"], [left, "a"]], [left]],
    ["a call without a session moved it since", [[left, "a"], [left, undefined], [right, "a"]], [right]],
  ];
  for (const [what, moves, stopped] of table) {
    const sessions = new MachineSessions(100);
    sessions.start(0, session("a"));
    sessions.start(50, session("b"));
    for (const [resource, id] of moves) sessions.moved(resource, id);
    assert.deepEqual(sessions.expire(99), [], what);
    assert.deepEqual(sessions.expire(100), stopped, what);
    assert.deepEqual(sessions.expire(101), [], what);
  }
}, { pure: true });

test("MachineSessions: services with resources of one name are told apart", () => {
  const sessions = new MachineSessions(100);
  sessions.start(0, session("a"));
  sessions.moved(left, "a");
  sessions.moved({ service: "acme.Servo", name: "left" }, undefined);
  assert.deepEqual(sessions.expire(100), [left]);
}, { pure: true });

test("MachineSessions: start() refuses more than 1,024, until some have expired", () => {
  const sessions = new MachineSessions(100);
  for (let index = 0; index < MAX_SESSIONS; index++) {
    assert.equal(sessions.start(index === 0 ? 0 : 50, session(`${index}`)), true);
  }
  assert.equal(sessions.start(99, session("more")), false);
  sessions.expire(100);
  assert.equal(sessions.start(100, session("more")), true);
}, { pure: true });
