/** `timeoutMs` and `signal` end a dial in whatever phase it is, and leave nothing of it. */

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, type Faults, type Machine, startMachine } from "../../lib/testing/mod.ts";
import { livePeers } from "../../lib/webrtc/peer.ts";
import { dial, DialError, DialOptions, DialTimeoutError } from "../../mod.ts";
import { runtime, test } from "../harness.ts";
import { eventually, watchedAbort, watchTimers } from "./leaks.ts";
import { type Behaviour, startRecorder } from "./recorder.ts";

/** The time of a dial, and the delay on top of that on a busy machine, in milliseconds. */
const TIMEOUT_MS = 400, SLACK_MS = 5_000;

/** Time in which the busiest computer gets to any phase, in milliseconds. */
const LONGEST_MS = 6_400;

const DIRECT: DialOptions = { insecure: true, disableWebrtc: true };
const WEBRTC: DialOptions = { insecure: true };
const SIGNALING = "/proto.rpc.webrtc.v1.SignalingService";

const DIALS = 200, AT_ONCE = 6;

/**
 * Bun's fetch keeps idle connections for the next request of the process, whoever makes it, and has no way to close
 * them. They are not of a dial, and do not become more with more dials.
 */
const POOLED = runtime === "bun" ? 2 * AT_ONCE : 0;

/** A dial that gets as far as a phase, and no farther. */
interface Stuck {
  readonly title: string;
  readonly phase: string;
  readonly options: DialOptions;
  /** In front of the machine; passes everything on by default. */
  readonly behaviour?: Behaviour;
  readonly faults?: Faults;
}

const silentAt = (...paths: string[]): Faults => ({
  silent: true,
  only: (path) => paths.some((wanted) => path === wanted),
});

const BOTH = { allowInsecureDowngrade: true, allowInsecureWithCredsDowngrade: true };
const SILENT: Behaviour = { kind: "silent" };

const STUCK: readonly Stuck[] = [
  {
    title: "a TLS handshake without an answer, directly, where plaintext is allowed",
    phase: "connect",
    options: { ...BOTH, disableWebrtc: true },
    behaviour: SILENT,
  },
  {
    title: "a TLS handshake without an answer, through signaling, where plaintext is allowed",
    phase: "connect",
    options: BOTH,
    behaviour: SILENT,
  },
  {
    title: "a TLS handshake without an answer, directly",
    phase: "connect",
    options: { disableWebrtc: true },
    behaviour: SILENT,
  },
  {
    title: "a TLS handshake without an answer, natively",
    phase: "connect",
    options: { disableWebrtc: true, protocol: "grpc" },
    behaviour: SILENT,
  },
  { title: "a silent server, directly", phase: "connect", options: DIRECT, behaviour: SILENT },
  {
    title: "a silent server, natively",
    phase: "connect",
    options: { ...DIRECT, protocol: "grpc" },
    behaviour: SILENT,
  },
  { title: "a silent signaling server", phase: "connect", options: WEBRTC, behaviour: SILENT },
  {
    title: "a machine that never hands out a token, directly",
    phase: "authenticate",
    options: DIRECT,
    faults: silentAt("/proto.rpc.v1.AuthService/Authenticate"),
  },
  {
    title: "a signaling server that never hands out a token",
    phase: "authenticate",
    options: WEBRTC,
    faults: silentAt("/proto.rpc.v1.AuthService/Authenticate"),
  },
  {
    title: "a signaling server that never names its ICE servers",
    phase: "config",
    options: WEBRTC,
    faults: silentAt(`${SIGNALING}/OptionalWebRTCConfig`),
  },
  {
    title: "a signaling server that never takes the offer",
    phase: "signaling",
    options: WEBRTC,
    faults: silentAt(`${SIGNALING}/Call`),
  },
  {
    title: "a machine that never answers the offer",
    phase: "signaling",
    options: WEBRTC,
    faults: { signaling: { neverAnswer: true } },
  },
  {
    title: "a peer that never finds the other",
    phase: "channel",
    options: WEBRTC,
    faults: { signaling: { noCandidates: true } },
  },
];

/** Dials what gets stuck, and looks for what is left of it. */
async function dialStuck(
  { options, behaviour, faults = {} }: Stuck,
  check: (address: string, options: DialOptions) => Promise<void>,
): Promise<void> {
  await using machine = await startMachine();
  machine.faults = faults;
  await using recorder = await startRecorder(behaviour ?? { kind: "forward", port: machine.port });
  using timers = watchTimers();
  const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
  await check(recorder.address, { ...options, ...key });
  await eventually(() => recorder.open <= POOLED, () => `${recorder.open} sockets are open`);
  await eventually(() => ownPeers(machine) === 0, () => `${ownPeers(machine)} peer connections are open`);
  // Of its own the machine waits until the offer is too old.
  await machine.close();
  await eventually(() => timers.running.length === 0, () => `timers run: ${timers.running.join("\n\n")}`);
}

/** Peer connections of those who dial: the machine in this process has its own. */
function ownPeers(machine: Machine): number {
  return livePeers() - machine.connections;
}

for (const stuck of STUCK) {
  test(`timeoutMs ends a dial that waits for ${stuck.title}`, async () => {
    await dialStuck(stuck, async (address, options) => {
      // A busy computer may not get as far in a short time.
      for (let timeoutMs = TIMEOUT_MS;; timeoutMs *= 2) {
        const start = performance.now();
        const error = await dial(address, { ...options, timeoutMs }).then(() => undefined, (error) => error);
        const tookMs = performance.now() - start;
        assert.ok(error instanceof DialTimeoutError, `no DialTimeoutError: ${error}`);
        if (error.phase !== stuck.phase && timeoutMs < LONGEST_MS) continue;
        assert.equal(error.phase, stuck.phase);
        assert.match(error.message, new RegExp(`${timeoutMs} ms`));
        assert.match(error.message, new RegExp(`"${stuck.phase}"`));
        assert.ok(tookMs >= timeoutMs - 20 && tookMs < timeoutMs + SLACK_MS, `it took ${tookMs} ms`);
        return;
      }
    });
  }, { timeoutMs: 60_000 });

  test(`signal ends a dial that waits for ${stuck.title}, with its own reason`, async () => {
    await dialStuck(stuck, async (address, options) => {
      const controller = new AbortController();
      const reason = { because: "of a reason that is no error" };
      const reached = Promise.withResolvers<void>();
      const dialing = dial(address, {
        ...options,
        timeoutMs: Infinity,
        signal: controller.signal,
        // The phase that gets stuck begins when the one before has ended.
        onEvent: () => reached.resolve(),
      });
      setTimeout(() => controller.abort(reason), 150);
      await reached.promise;
      const start = performance.now();
      await assert.rejects(dialing, (error) => error === reason);
      assert.ok(performance.now() - start < 150 + SLACK_MS);
    });
  }, { timeoutMs: 60_000 });
}

test("a signal that is aborted already sends nothing", async () => {
  await using recorder = await startRecorder({ kind: "silent" });
  const reason = new Error("enough");
  for (const options of [DIRECT, WEBRTC, { disableWebrtc: true }]) {
    await assert.rejects(
      dial(recorder.address, { ...options, signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    );
  }
  assert.equal(recorder.received.length, 0);
});

test("a dial ends when a listener aborts it between two steps", async () => {
  await using machine = await startMachine();
  const options = { ...WEBRTC, ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId) };
  const abort = new AbortController();
  const reason = new Error("enough");
  const dialing = dial(machine.address, {
    ...options,
    signal: abort.signal,
    onEvent(event) {
      if (event.type === "progress" && event.entry.phase === "engine") abort.abort(reason);
    },
  });
  await assert.rejects(dialing, (error) => error === reason);
});

test("a dial that is aborted after its offers were answered frees the machine's answerers", async () => {
  const credentials = { type: "api-key", entity: crypto.randomUUID(), payload: "the-key" } as const;
  const auth = { credentials: [credentials] };
  await using signaling = await startMachine({ auth, webrtc: "signaling-only" });
  const { address, url } = signaling;
  await using _machine = await startMachine({
    auth,
    signaling: { address: url, hosts: ["robot"], credentials },
  });
  const options = {
    ...DialOptions.withApiKey(signaling.apiKey, signaling.apiKeyId, WEBRTC),
    mdns: false,
    timeoutMs: SLACK_MS,
    webrtc: { signalingAddress: address, signalingInsecure: true },
  };
  signaling.faults = { signaling: { noCandidates: true } };
  const abort = new AbortController();
  const dialing = dial("robot", { ...options, signal: abort.signal });
  dialing.catch(() => {});
  // Tries beside the first one have taken both answerers, or wait for one.
  await eventually(
    () => signaling.callsTo(`${SIGNALING}/Call`).grpc === 3,
    () => `${signaling.callsTo(`${SIGNALING}/Call`).grpc} calls`,
  );
  abort.abort();
  await assert.rejects(dialing);
  signaling.faults = {};
  await using channel = await dial("robot", options);
  await createClient(EchoService, channel).echo({ message: "hello" });
});

test("a dial ends in its time although the signaling server does not take its last message", async () => {
  await using machine = await startMachine();
  machine.faults = {
    signaling: { noCandidates: true },
    only: (path) => path.endsWith("/CallUpdate"),
    silent: true,
  };
  const options = { insecure: true, ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId) };
  // Less than the two seconds that the last word has.
  const isOver = (start: number) => assert.ok(performance.now() - start < TIMEOUT_MS + 1_500);
  let start = performance.now();
  await assert.rejects(dial(machine.address, { ...options, timeoutMs: TIMEOUT_MS }), DialTimeoutError);
  isOver(start);
  start = performance.now();
  const abort = new AbortController();
  setTimeout(() => abort.abort(), TIMEOUT_MS);
  await assert.rejects(dial(machine.address, { ...options, signal: abort.signal }));
  isOver(start);
});

test("timeoutMs bounds all attempts together", async () => {
  await using recorder = await startRecorder({ kind: "silent" });
  const start = performance.now();
  await assert.rejects(
    dial(recorder.address, { ...DIRECT, initialAttempts: 100, timeoutMs: TIMEOUT_MS }),
    DialTimeoutError,
  );
  assert.ok(performance.now() - start < TIMEOUT_MS + SLACK_MS);
});

test("initialAttempts is the number of attempts, each of which the error lists", async () => {
  await using recorder = await startRecorder({ kind: "reset" });
  await assert.rejects(dial(recorder.address, { ...DIRECT, initialAttempts: 3 }), (error) => {
    assert.ok(error instanceof DialError && !(error instanceof DialTimeoutError), String(error));
    assert.equal(error.attempts.length, 3);
    assert.ok(error.attempts.every(({ path, target }) => path === "direct" && target === recorder.address));
    return true;
  });
});

test("time that runs out between two attempts does not hide why they failed", async () => {
  await using recorder = await startRecorder({ kind: "reset" });
  for (let tries = 1;; tries++) {
    const dialing = dial(recorder.address, { ...DIRECT, initialAttempts: 100, timeoutMs: 1_000 });
    const error: unknown = await dialing.catch((error) => error);
    // On a computer that has no time for it, the time may run out during an attempt, which says so.
    if (error instanceof DialTimeoutError && tries < 5) continue;
    assert.ok(error instanceof DialError && !(error instanceof DialTimeoutError), String(error));
    assert.equal(error.cause, error.attempts.at(-1)!.error);
    return;
  }
});

/** A small generator of numbers from 0 up to 1 (mulberry32), the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

test(
  "300 dials that are aborted at random moments leave nothing, and the machine is free at once",
  async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    // deno-lint-ignore no-console
    console.log(`seed of the random moments: ${seed}`);
    const random = randomFrom(seed);
    await using authority = await startMachine({
      auth: { credentials: [{ type: "robot-secret", payload: "the-secret" }], externalAuth: true },
    });
    await using machine = await startMachine({
      auth: {
        credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload: "the-key" }],
        trusts: [authority],
      },
    });
    await using recorder = await startRecorder({ kind: "forward", port: machine.port });
    const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
    const ways: readonly DialOptions[] = [
      { ...WEBRTC, ...key },
      { ...DIRECT, ...key },
      { ...DIRECT, ...key, protocol: "grpc" },
      { ...BOTH, ...key },
      { ...BOTH, ...key, disableWebrtc: true },
      {
        ...WEBRTC,
        credentials: { type: "robot-secret", payload: "the-secret" },
        externalAuth: { address: authority.address, toEntity: machine.address, insecure: true },
      },
    ];
    // How long each takes by itself here and now: the moments are spread over that.
    const lengths: number[] = [];
    for (const options of ways) {
      const start = performance.now();
      await using channel = await dial(recorder.address, options);
      await createClient(EchoService, channel).echo({ message: "hello" });
      lengths.push(performance.now() - start);
    }

    using timers = watchTimers();
    let next = 0, aborted = 0, dialed = 0;
    async function dialAndAbort(): Promise<void> {
      while (next < DIALS) {
        const index = next++ % ways.length;
        const watched = watchedAbort();
        const { controller } = watched;
        const reason = new Error(`enough of dial ${next}`);
        const timer = setTimeout(
          () => controller.abort(reason),
          random() * Math.min(500, 1.5 * lengths[index]!),
        );
        try {
          await using _channel = await dial(recorder.address, {
            ...ways[index]!,
            maxReconnectAttempts: 0,
            signal: controller.signal,
          });
          dialed++;
        } catch (error) {
          assert.equal(error, reason, `seed ${seed}: ${error}`);
          aborted++;
        } finally {
          clearTimeout(timer);
        }
        assert.equal(watched.listeners, 0, `seed ${seed}`);
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, dialAndAbort));
    assert.equal(aborted + dialed, DIALS);
    assert.ok(aborted >= DIALS / 10, `seed ${seed}: only ${aborted} were aborted`);

    // At once: nobody is waited for.
    await using channel = await dial(machine.address, { ...WEBRTC, ...key });
    await createClient(EchoService, channel).echo({ message: "hello" });
    await channel.close();

    const left = () =>
      [
        `${recorder.open} sockets`,
        `${ownPeers(machine)} peer connections here`,
        `${machine.connections} there`,
        `${timers.running.length} timers: ${timers.running.join("\n\n")}`,
      ].join(", ");
    await eventually(() => recorder.open <= POOLED, left);
    await eventually(() => ownPeers(machine) === 0, left);
    await eventually(() => machine.connections === 0, left);
    await machine.close();
    await authority.close();
    await eventually(() => timers.running.length === 0, left);
  },
  { timeoutMs: 180_000 },
);
