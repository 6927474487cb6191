import assert from "node:assert/strict";
import { ClientSession } from "../../lib/core/session/client_session.ts";
import { test } from "../harness.ts";

/** A session that was started at 0, and answered at once. */
function live(windowMs = 2_000): ClientSession {
  const session = new ClientSession();
  session.started(0, 0, "a", windowMs);
  return session;
}

/** Asks as a timer would, from 0 on; returns when heartbeats went. `answer` is told of each. */
function beats(session: ClientSession, untilMs: number, answer: (now: number) => void = () => {}): number[] {
  const sent: number[] = [];
  for (let now = 0; now <= untilMs;) {
    const next = session.beat(now);
    if (next === undefined) break;
    if ("inMs" in next) {
      now += next.inMs;
    } else {
      sent.push(now);
      answer(now);
    }
  }
  return sent;
}

test("ClientSession: what a monitored call goes with, by what has happened", () => {
  const start = (resume: string) => ({ start: true, resume });
  const table:
    readonly (readonly [what: string, happens: (session: ClientSession) => void, goes: unknown])[] = [
      ["nothing", () => {}, start("")],
      ["it was started", (session) => session.started(0, 1, "a", 2_000), { id: "a" }],
      ["the machine keeps none", (session) => session.unsupported(), "none"],
      ["a window that is none", (session) => session.started(0, 1, "a", 0), "none"],
      ["no id", (session) => session.started(0, 1, "", 2_000), "none"],
      [
        "it expired",
        (session) => {
          session.started(0, 1, "a", 2_000);
          session.expired("a");
        },
        start(""),
      ],
      [
        "another expired, which a call of before went with",
        (session) => {
          session.started(0, 1, "b", 2_000);
          session.expired("a");
        },
        { id: "b" },
      ],
      [
        "the connection was lost",
        (session) => {
          session.started(0, 1, "a", 2_000);
          session.disconnected();
        },
        start("a"),
      ],
      [
        "the connection was lost, and the machine knows it no longer",
        (session) => {
          session.started(0, 1, "a", 2_000);
          session.disconnected();
          session.expired("a");
        },
        start(""),
      ],
      [
        "there is a new connection",
        (session) => {
          session.started(0, 1, "a", 2_000);
          session.disconnected();
          session.reconnected();
        },
        start("a"),
      ],
      [
        "it was resumed as another",
        (session) => {
          session.started(0, 1, "a", 2_000);
          session.disconnected();
          session.reconnected();
          session.started(5, 6, "b", 2_000);
        },
        { id: "b" },
      ],
      [
        "a new connection, where the last machine kept none",
        (session) => {
          session.unsupported();
          session.reconnected();
        },
        start(""),
      ],
    ];
  for (const [what, happens, goes] of table) {
    const session = new ClientSession();
    happens(session);
    assert.deepEqual(session.forCall(), goes, what);
  }
}, { pure: true });

test("ClientSession: reconnected() asks for a session to be resumed only where there was one", () => {
  const never = new ClientSession();
  assert.equal(never.reconnected(), false);
  const session = live();
  session.disconnected();
  assert.equal(session.beat(10_000), undefined);
  assert.equal(session.reconnected(), true);
  session.expired("a");
  assert.equal(session.reconnected(), false);
}, { pure: true });

test("ClientSession: expired() says whether that is news", () => {
  const session = live();
  assert.equal(session.expired(""), false);
  assert.equal(session.expired("b"), false);
  assert.equal(session.expired("a"), true);
  assert.equal(session.expired("a"), false);
}, { pure: true });

test("ClientSession: a heartbeat goes each fifth of the window, answered late or not at all", () => {
  const session = live();
  const times = beats(session, 2_000, (now) => {
    if (now !== 800) session.answered(now, now + 300, "a");
  });
  assert.deepEqual(times, [400, 800, 1_200, 1_600, 2_000]);
  const quick = live(30);
  assert.deepEqual(beats(quick, 30, (now) => quick.answered(now, now, "a")), [6, 12, 18, 24, 30]);
}, { pure: true });

test("ClientSession: a call that the machine has answered counts as a heartbeat of when it was sent", () => {
  const table: readonly (readonly [sentAt: number, now: number, id: string, inMs: number])[] = [
    [300, 350, "a", 350],
    [0, 350, "a", 50],
    [300, 350, "b", 50],
  ];
  for (const [sentAt, now, id, inMs] of table) {
    const session = live();
    session.answered(sentAt, now, id);
    assert.deepEqual(session.beat(now), { inMs }, `${sentAt}, ${id}`);
  }
}, { pure: true });

test(
  "ClientSession: a program that was busy shows a sign of life at once, and one for all that it missed",
  () => {
    const session = live();
    session.answered(1_600, 1_600, "a");
    const next = session.beat(3_100);
    assert.ok(next !== undefined && "id" in next && next.id === "a" && next.windowMs === 2_000);
    assert.deepEqual(session.beat(3_100), { inMs: 400 });
  },
  { pure: true },
);

test(
  "ClientSession: heartbeats stop once nothing was answered for five windows and 10 s; the id is kept to resume",
  () => {
    for (const [windowMs, last] of [[2_000, 10_000], [100, 10_000], [60_000, 300_000]] as const) {
      const session = live(windowMs);
      assert.equal(beats(session, 1_000_000).at(-1), last, `${windowMs}`);
      assert.equal(session.beat(1_000_000), undefined);
      assert.deepEqual(session.forCall(), { start: true, resume: "a" });
    }
  },
  { pure: true },
);
