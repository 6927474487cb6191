import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { ExchangeError } from "../../lib/core/ice/exchange_error.ts";
import { toDialError } from "../../lib/dial/failure.ts";
import { joinHostPort } from "../../lib/core/net/address.ts";
import { type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticationError,
  dial,
  DialError,
  DialOptions,
  DialOptionsError,
  DialTimeoutError,
  HostOfflineError,
  IceError,
  InsecureConnectionError,
  resolveDialOptions,
  SignalingError,
  type TimelineEntry,
} from "../../mod.ts";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { ErrorDetailSchema } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";

interface Failure {
  readonly title: string;
  readonly machine?: MachineOptions;
  /** Options in addition to the machine's key and `insecure`. */
  readonly options?: DialOptions;
  readonly kind: new (...args: never[]) => DialError;
  readonly name: string;
  readonly code: string;
  readonly phase: string;
  readonly message: RegExp;
}

const wrongKey = { credentials: { type: "api-key", payload: "wrong" } };

const failures: readonly Failure[] = [
  {
    title: "a wrong key",
    options: wrongKey,
    kind: AuthenticationError,
    name: "AuthenticationError",
    code: "ERR_DIAL_AUTHENTICATION",
    phase: "authenticate",
    message: /refused the credentials: \[unauthenticated\] invalid credentials\. Check the key and its id/,
  },
  {
    title: "a server without TLS",
    options: { insecure: false },
    kind: InsecureConnectionError,
    name: "InsecureConnectionError",
    code: "ERR_DIAL_INSECURE",
    phase: "tls",
    message: /is insecure and will not send credentials\. .* set insecure or/,
  },
  {
    title: "a machine that is offline",
    machine: { faults: { signaling: { offline: true } } },
    kind: HostOfflineError,
    name: "HostOfflineError",
    code: "ERR_DIAL_HOST_OFFLINE",
    phase: "signaling",
    message: /the machine is offline: .*\. Check that viam-server runs there/,
  },
  {
    title: "an offer that is refused",
    machine: { faults: { signaling: { rejectOffers: "no room" } } },
    kind: SignalingError,
    name: "SignalingError",
    code: "ERR_DIAL_SIGNALING",
    phase: "signaling",
    message: /no WebRTC connection, in phase "signaling": .*no room.*\. Check that the machine is online/,
  },
  {
    title: "a relay that is wanted and missing",
    options: { webrtc: { forceRelay: true } },
    kind: IceError,
    name: "IceError",
    code: "ERR_DIAL_ICE",
    phase: "offer",
    message:
      /no path to the machine was found: .*forceRelay needs a TURN server.*\. Check webrtc\.iceServers/,
  },
  {
    title: "a server that never answers",
    machine: { faults: { silent: true } },
    options: { timeoutMs: 500 },
    kind: DialTimeoutError,
    name: "DialTimeoutError",
    code: "ERR_DIAL_TIMEOUT",
    phase: "connect",
    message:
      /within 500 ms: the time ran out in phase "connect", reaching the server\. Check the address.*timeoutMs/,
  },
];

for (const { title, machine: setUp, options, kind, name, code, phase, message } of failures) {
  test(`dial() rejects with ${name} for ${title}, and says what to do`, async () => {
    await using machine = await startMachine(setUp);
    const { apiKey, apiKeyId, address } = machine;
    const error: unknown = await dial(address, {
      ...DialOptions.withApiKey(apiKey, apiKeyId),
      insecure: true,
      ...options,
    }).then(() => assert.fail("it did not fail"), (reason) => reason);
    assert.ok(error instanceof kind, inspect(error));
    assert.ok(error instanceof DialError && error instanceof Error);
    assert.deepEqual([error.name, error.code, error.phase, error.address], [name, code, phase, address]);
    assert.match(error.message, message);
    assert.equal(error.attempts.length, 1);
    assert.equal(error.attempts[0]!.target, address);
    assert.ok(error.timeline.length > 0);
    assert.ok(error.timeline.every(({ atMs, detail }) => atMs >= 0 && detail !== ""));
    assert.ok(error.timeline.some(({ ok }) => !ok));
    assert.match(error.stack!, new RegExp(`^${name}: `));
    const shown = inspect(error);
    assert.match(shown, new RegExp(`^${name}: .*\n[^]*code: ${code}, phase: ${phase}`));
    assert.match(shown, /attempt 1: webrtc 127\.0\.0\.1:\d+: /);
    assert.match(shown, /timeline:\n +\d+\.\d ms /);
    assert.ok(!shown.includes(apiKey));
    assert.match(inspect({ deep: { deeper: { error } } }, { depth: 1 }), /Error: |Object|\[/);
  });
}

test("the error of a dial whose time ran out names what failed beside the step that was waited for", () => {
  const step = { phase: "channel" as const, atMs: 1, ok: false };
  const refusal = "TURN over TLS at turn.test:443: the proxy http://proxy.test:3128 answered 403 Forbidden";
  const { message } = toDialError({
    error: new DOMException("late", "TimeoutError"),
    phase: "channel",
    address: "robot.test",
    attempts: [],
    timeline: [
      { ...step, detail: refusal },
      { ...step, detail: refusal },
      { ...step, detail: "not open as soon as it should be", ok: true },
      { ...step, detail: "the dial took too long", durationMs: 2 },
      { ...step, detail: "candidates", candidates: { local: [], remote: [] } },
      { ...step, detail: "elsewhere", phase: "config" },
    ],
    timeoutMs: 20_000,
  });
  assert.ok(message.includes(`waiting for the data channel (${refusal}). Let UDP pass`), message);
}, { pure: true });

test(
  "the error of a dial whose TURN servers cannot be reached advises to check them, whatever else went on",
  () => {
    const error = new ExchangeError(
      "relay",
      new ConnectError("no TURN server can be reached", Code.Unavailable),
    );
    for (const phase of ["offer", "signaling", "channel"] as const) {
      const failed = toDialError({ error, phase, address: "robot.test", attempts: [], timeline: [] });
      assert.ok(failed instanceof IceError);
      assert.equal(failed.phase, phase);
      assert.match(
        failed.message,
        /\[unavailable\] no TURN server can be reached\. Check webrtc\.iceServers/,
      );
    }
  },
  { pure: true },
);

test("dial() rejects with AuthenticationError when credentials are required and missing", async () => {
  await using machine = await startMachine();
  await assert.rejects(dial(machine.address, { insecure: true }), (error: unknown) => {
    assert.ok(error instanceof AuthenticationError);
    assert.match(error.message, /wants credentials: .*\. Pass some, such as DialOptions\.withApiKey/);
    return true;
  });
});

test("timeline has the candidates of both ends, typed, and the pair that was chosen", async () => {
  await using machine = await startMachine({ auth: "none" });
  let open: TimelineEntry | undefined;
  // A check of the machine that arrives before its candidates may open the channel without them.
  for (let tries = 1; tries <= 5 && (open?.candidates?.remote.length ?? 0) === 0; tries++) {
    await using channel = await dial(machine.address, { insecure: true });
    open = channel.timeline.find(({ phase, durationMs }) => phase === "channel" && durationMs !== undefined);
  }
  const { candidates, pair } = open!;
  assert.ok(candidates !== undefined && candidates.local.length > 0 && candidates.remote.length > 0);
  for (const { address, port, type, protocol } of [...candidates.local, ...candidates.remote]) {
    assert.ok(address !== "" && port >= 0 && type === "host" && ["udp", "tcp"].includes(protocol));
  }
  const { address, port } = pair!.remote;
  assert.ok(open!.detail.endsWith(` to ${joinHostPort(address, port)}`), open!.detail);

  machine.faults = { signaling: { noCandidates: true } };
  const error: unknown = await dial(machine.address, { insecure: true, timeoutMs: 1_000 }).catch((thrown) =>
    thrown
  );
  assert.ok(error instanceof DialTimeoutError && error.phase === "channel", inspect(error));
  const tried = error.timeline.find((entry) => entry.candidates !== undefined);
  assert.ok(tried!.ok === false && tried!.candidates!.local.length > 0 && tried!.pair === undefined);
});

test("no error contains a key that a server repeats in its text or in a detail", async () => {
  const key = "a-key-that-nobody-may-see";
  for (const inDetail of [false, true]) {
    await using machine = await startMachine({
      routes: (router) =>
        router.service(AuthService, {
          authenticate({ credentials }) {
            const text = `bad key ${credentials?.payload}`;
            const details = [{ desc: ErrorDetailSchema, value: { text } }];
            throw inDetail
              ? new ConnectError("no", Code.Unauthenticated, undefined, details)
              : new ConnectError(text, Code.Unauthenticated);
          },
        }),
    });
    for (const disableWebrtc of [false, true]) {
      const options = DialOptions.withApiKey(key, crypto.randomUUID(), { insecure: true, disableWebrtc });
      await assert.rejects(dial(machine.address, options), (error: unknown) => {
        assert.ok(error instanceof AuthenticationError && error.cause instanceof ConnectError);
        const texts = error.cause.findDetails(ErrorDetailSchema).map(({ text }) => text);
        assert.ok(![error.message, inspect(error), ...texts].join().includes(key));
        return true;
      });
    }
  }
});

test("dial() rejects with DialError when nobody listens, in the phase that failed", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  for (const insecure of [true, false]) {
    await assert.rejects(dial(`127.0.0.1:${port}`, { insecure, initialAttempts: 2 }), (error: unknown) => {
      assert.ok(error instanceof DialError);
      assert.deepEqual([error.constructor, error.name, error.phase], [DialError, "DialError", "connect"]);
      assert.equal(error.attempts.length, 2);
      assert.match(
        error.message,
        /connection refused: 127\.0\.0\.1:\d+ .*\. Check that the machine runs there/,
      );
      assert.equal((error.cause as { code?: unknown }).code, Code.Unavailable);
      return true;
    });
  }
});

test("DialOptionsError has its name in its stack, and its problems unchanged", () => {
  try {
    resolveDialOptions({ timeoutMs: -1, insecure: "x" } as unknown as DialOptions);
    assert.fail("it was taken");
  } catch (error) {
    assert.ok(error instanceof DialOptionsError && error instanceof TypeError);
    assert.match(error.stack!, /^DialOptionsError: 2 options cannot be used:\n {2}insecure must be /);
    assert.equal(error.code, "ERR_DIAL_OPTIONS");
    assert.ok(Object.isFrozen(error.problems));
  }
}, { pure: true });
