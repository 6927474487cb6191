import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { ExchangeError } from "../../lib/core/ice/exchange_error.ts";
import { type TimedConfig, withConfig } from "../../lib/dial/remembered_config.ts";
import { ICEServerSchema } from "../../proto/gen/proto/rpc/webrtc/v1/signaling_pb.ts";
import { test } from "../harness.ts";

const { signal } = new AbortController();

function configOf(...urls: string[]): TimedConfig {
  const iceServers = urls.map((url) => create(ICEServerSchema, { urls: [url] }));
  return { iceServers, engine: undefined, roundTripMs: 1 };
}

/** A key that has the configuration from an earlier attempt. */
async function keyWith(config: TimedConfig): Promise<string> {
  const key = crypto.randomUUID();
  await withConfig(key, () => Promise.resolve(config), () => Promise.resolve(), signal);
  return key;
}

/** Resolves as soon as the signal aborts. */
const aborted = (by: AbortSignal) =>
  new Promise<never>((_resolve, reject) => by.addEventListener("abort", () => reject(by.reason)));

test("withConfig() waits for the server the first time, and later makes the attempt beside the question", async () => {
  const config = configOf("stun:a.example");
  const answer = Promise.withResolvers<TimedConfig>();
  const key = crypto.randomUUID();
  let isAnswered = false;
  const first = withConfig(key, () => answer.promise, () => Promise.resolve(isAnswered), signal);
  isAnswered = true;
  answer.resolve(config);
  assert.equal(await first, true);
  const never = new Promise<TimedConfig>(() => {});
  assert.equal(await withConfig(key, () => never, (given) => Promise.resolve(given), signal), config);
});

test("withConfig() makes the attempt again when the ICE servers have changed", async () => {
  const key = await keyWith(configOf("stun:a.example"));
  const now = configOf("stun:b.example");
  const attempts: TimedConfig[] = [];
  const attempt = (config: TimedConfig, by: AbortSignal) => {
    attempts.push(config);
    return config === now ? Promise.resolve("connected") : aborted(by);
  };
  assert.equal(await withConfig(key, () => Promise.resolve(now), attempt, signal), "connected");
  assert.equal(attempts.length, 2);
});

test("withConfig() fails the attempt with the error of the question, and forgets the configuration", async () => {
  const key = await keyWith(configOf());
  const refusal = new ConnectError("no signaler", Code.Unimplemented);
  const ask = () => Promise.reject(refusal);
  await assert.rejects(withConfig(key, ask, (_config, by) => aborted(by), signal), refusal);
  await assert.rejects(withConfig(key, ask, () => Promise.resolve(), signal), refusal);
});

test("withConfig() keeps the configuration while the server cannot be asked", async () => {
  const key = await keyWith(configOf());
  const lost = new ConnectError("connection lost", Code.Unavailable);
  await assert.rejects(
    withConfig(key, () => Promise.reject(lost), (_config, by) => aborted(by), signal),
    lost,
  );
  const never = new Promise<TimedConfig>(() => {});
  assert.equal(await withConfig(key, () => never, () => Promise.resolve("connected"), signal), "connected");
});

test("withConfig() makes an attempt again that was refused for a token from before, and no other", async () => {
  const config = configOf();
  const failing = async (code: Code) => {
    const key = await keyWith(config);
    let attempts = 0;
    const attempt = () => {
      attempts++;
      return Promise.reject(new ExchangeError("signaling", new ConnectError("no", code)));
    };
    await assert.rejects(withConfig(key, () => Promise.resolve(config), attempt, signal), ExchangeError);
    return attempts;
  };
  assert.equal(await failing(Code.Unauthenticated), 2);
  assert.equal(await failing(Code.DeadlineExceeded), 1);
});
