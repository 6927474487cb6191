import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { SignalingQueue, type TakenOffer, type TakeOffer } from "../../lib/testing/signaling_queue.ts";
import { type ICECandidate, ICECandidateSchema } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { test as anyTest } from "../harness.ts";

const test = (name: string, fn: () => void) => anyTest(name, fn, { pure: true });

const candidate = (text: string): ICECandidate => create(ICECandidateSchema, { candidate: text });

/** Offers under a uuid, and keeps what the caller hears. */
function offer(queue: SignalingQueue, uuid: string, host = "h", withheld = false): string[] {
  const heard: string[] = [];
  queue.offer({ uuid, host, sdp: `offer ${uuid}` }, {
    answered: (sdp) => heard.push(`answered ${sdp}`),
    candidate: ({ candidate }) => heard.push(`candidate ${candidate}`),
    ended: (error) => heard.push(error === undefined ? "ended" : `ended: ${error.message}`),
    closed: () => heard.push("closed"),
  }, withheld);
  return heard;
}

/** Takes offers, and keeps what the answerer hears. */
function answerer(): { take: TakeOffer; taken: TakenOffer[]; heard: string[] } {
  const taken: TakenOffer[] = [];
  const heard: string[] = [];
  const take: TakeOffer = (next) => {
    taken.push(next);
    heard.push(`took ${next.uuid} of ${next.host}: ${next.sdp}`);
    return {
      candidate: ({ candidate }) => heard.push(`candidate ${candidate}`),
      done: () => heard.push("done"),
      failed: (error) => heard.push(`failed: ${error.message}`),
    };
  };
  return { take, taken, heard };
}

test("an exchange from offer to end", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  const caller = offer(queue, "u");
  taken[0]!.answered("answer");
  taken[0]!.candidate(candidate("a1"));
  queue.callerCandidate("u", candidate("c1"));
  queue.callerDone("u");
  taken[0]!.candidate(candidate("a2"));
  taken[0]!.done();
  assert.deepEqual(heard, ["took u of h: offer u", "candidate c1", "done"]);
  assert.deepEqual(caller, ["answered answer", "candidate a1", "candidate a2", "ended", "closed"]);
});

test("the caller's stream ends as soon as the answerer is done, and its candidates still arrive", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  const caller = offer(queue, "u");
  taken[0]!.answered("answer");
  taken[0]!.done();
  assert.deepEqual(caller, ["answered answer", "ended"]);
  queue.callerCandidate("u", candidate("late"));
  queue.expire("u");
  assert.deepEqual(heard.slice(1), [
    "candidate late",
    "failed: [deadline_exceeded] context deadline exceeded",
  ]);
  assert.deepEqual(caller, ["answered answer", "ended", "closed"]);
});

test("an offer waits for its answerer, one answerer takes one offer", () => {
  const queue = new SignalingQueue();
  offer(queue, "u1", "h");
  offer(queue, "u2", "h");
  const { take, taken } = answerer();
  queue.wait(["other"], take);
  assert.equal(taken.length, 0);
  queue.wait(["other", "h"], take);
  assert.deepEqual(taken.map(({ uuid }) => uuid), ["u1"]);
  queue.wait(["h"], take);
  assert.deepEqual(taken.map(({ uuid }) => uuid), ["u1", "u2"]);
});

test("an answerer that has stopped waiting gets nothing", () => {
  const queue = new SignalingQueue();
  const { take, taken } = answerer();
  queue.wait(["h"], take)();
  offer(queue, "u");
  assert.equal(taken.length, 0);
});

test("the machine's own answerer takes offers for hosts that no other has announced", () => {
  const own = answerer(), outside = answerer();
  const queue = new SignalingQueue(own.take);
  offer(queue, "u1", "robot");
  assert.deepEqual(own.taken.map(({ uuid }) => uuid), ["u1"]);
  queue.wait(["robot"], outside.take);
  offer(queue, "u2", "robot");
  offer(queue, "u3", "robot"); // its answerer is busy, and will be back
  offer(queue, "u4", "own");
  assert.deepEqual(outside.taken.map(({ uuid }) => uuid), ["u2"]);
  assert.deepEqual(own.taken.map(({ uuid }) => uuid), ["u1", "u4"]);
  queue.wait(["robot"], outside.take);
  assert.deepEqual(outside.taken.map(({ uuid }) => uuid), ["u2", "u3"]);
});

test("a withheld offer goes to nobody", () => {
  const own = answerer();
  const queue = new SignalingQueue(own.take);
  const caller = offer(queue, "u", "h", true);
  queue.wait(["h"], own.take);
  assert.equal(own.taken.length, 0);
  queue.expire("u");
  assert.deepEqual(caller, ["ended: [deadline_exceeded] context deadline exceeded", "closed"]);
});

test("an answerer's messages out of order throw", () => {
  const queue = new SignalingQueue();
  const { take, taken } = answerer();
  queue.wait(["h"], take);
  offer(queue, "u");
  const [said] = taken;
  assert.throws(() => said!.candidate(candidate("a")), /got update stage before init stage/);
  assert.throws(() => said!.done(), /got done stage before init stage/);
  said!.answered("answer");
  assert.throws(() => said!.answered("answer"), /got init stage more than once/);
});

test("an answerer's error is the caller's, once", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  const caller = offer(queue, "u");
  taken[0]!.failed(new ConnectError("no way", Code.Internal));
  taken[0]!.failed(new ConnectError("again", Code.Internal));
  queue.callerCandidate("u", candidate("c"));
  queue.expire("u");
  assert.deepEqual(caller, ["ended: [internal] error from answerer: no way", "closed"]);
  assert.deepEqual(heard, ["took u of h: offer u"]);
});

test("a caller's error is the answerer's, once, after it was done, too", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  const caller = offer(queue, "u");
  taken[0]!.answered("answer");
  queue.callerDone("u");
  queue.callerFailed("u", new ConnectError("gave up", Code.Unknown));
  queue.callerFailed("u", new ConnectError("again", Code.Unknown));
  queue.callerDone("u");
  taken[0]!.candidate(candidate("late"));
  assert.deepEqual(heard.slice(1), ["done", "failed: [unknown] gave up"]);
  assert.deepEqual(caller, ["answered answer", "ended: [unknown] gave up", "closed"]);
});

test("a caller that hangs up is done, and receives nothing more", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  const caller = offer(queue, "u");
  taken[0]!.answered("answer");
  queue.callerGone("u");
  taken[0]!.candidate(candidate("a"));
  assert.deepEqual([heard.slice(1), caller], [["done"], ["answered answer"]]);
  taken[0]!.done();
  assert.deepEqual(caller, ["answered answer", "closed"]);
});

test("a caller that reports before it hangs up has failed if it is not done", () => {
  const queue = new SignalingQueue();
  const { take, taken, heard } = answerer();
  for (const [uuid, isDone] of [["u", false], ["v", true]] as const) {
    queue.wait(["h"], take);
    offer(queue, uuid);
    taken.at(-1)!.answered("answer");
    if (isDone) queue.callerDone(uuid);
    queue.callerGone(uuid, true);
  }
  assert.deepEqual(heard, [
    "took u of h: offer u",
    "failed: [canceled] the caller is gone",
    "took v of h: offer v",
    "done",
  ]);
});

test("an offer without an answer ends with its caller, whether or not it was taken", () => {
  const queue = new SignalingQueue();
  const caller = offer(queue, "u");
  queue.callerGone("u");
  const { take, taken, heard } = answerer();
  queue.wait(["h"], take);
  assert.deepEqual([caller, taken.length], [["closed"], 0]);
  const another = offer(queue, "v");
  queue.callerGone("v");
  taken[0]!.answered("late");
  taken[0]!.done();
  assert.deepEqual([another, heard.slice(1)], [["closed"], ["failed: [canceled] the caller is gone"]]);
});

test("updates of a finished offer are ignored, and those of an unknown one refused", () => {
  const queue = new SignalingQueue();
  offer(queue, "u");
  queue.expire("u");
  queue.callerCandidate("u", candidate("late"));
  queue.callerDone("u");
  queue.callerFailed("u", new ConnectError("late", Code.Unknown));
  const unknown = (error: unknown) =>
    error instanceof ConnectError && error.code === Code.Unknown &&
    error.rawMessage === 'no active offer for "x"';
  assert.throws(() => queue.callerCandidate("x", candidate("c")), unknown);
  assert.throws(() => queue.callerDone("x"), unknown);
  assert.throws(() => queue.callerFailed("x", new ConnectError("e")), unknown);
});

test("too many callers or answerers of one host are refused", () => {
  const queue = new SignalingQueue();
  const tooMany = /\[unavailable\] too many connection attempts; please wait a bit and try again/;
  for (let index = 0; index < 50; index++) offer(queue, `u${index}`);
  assert.throws(() => offer(queue, "u50"), tooMany);
  offer(queue, "v", "another");
  const { take } = answerer();
  const others = Array.from({ length: 4 }, () => queue.wait(["busy"], take));
  assert.throws(() => queue.wait(["busy"], take), tooMany);
  others[0]!();
  queue.wait(["busy"], take);
});

test("closing ends everything", () => {
  const queue = new SignalingQueue();
  const { take, heard } = answerer();
  queue.wait(["h"], take);
  const taken = offer(queue, "u1"), waiting = offer(queue, "u2", "other");
  queue.close();
  const end = "ended: [unavailable] the signaling server is closing";
  assert.deepEqual([taken, waiting], [[end, "closed"], [end, "closed"]]);
  assert.equal(heard[1], "failed: [unavailable] the signaling server is closing");
});
