import assert from "node:assert/strict";
import { inspect } from "node:util";
import fc from "fast-check";
import { DialOptionsError } from "../../lib/options/options_error.ts";
import type { DialOptions } from "../../lib/options/options.ts";
import {
  type ResolvedDialOptions,
  resolveDial,
  resolveDialOptions,
} from "../../lib/options/resolve_options.ts";
import { test } from "../harness.ts";

const NAMES = [
  ...["disableWebrtc", "authEntity", "credentials", "accessToken", "externalAuth", "insecure"],
  ...["allowInsecureDowngrade", "allowInsecureWithCredsDowngrade", "maxReconnectAttempts", "initialAttempts"],
  ...["timeoutMs", "signal", "tls", "protocol", "compression", "mdns", "webrtc", "interceptors", "headers"],
  ...["maxBufferedBytes", "keepAliveMs", "logger", "onEvent", "address", "type", "payload", "toEntity"],
  ...["ca", "cert", "key", "serverName", "rejectUnauthorized", "minVersion", "signalingAddress"],
  ...["signalingInsecure", "iceServers", "forceRelay", "forceP2P", "turnUri", "turnScheme", "turnPort"],
  ...["turnTransport", "urls", "username", "credential", "__proto__", "constructor", "toString", "length"],
];

/** Values as they come, and as they are wanted, so that both ends are reached. */
const leaf = fc.oneof(
  fc.anything(),
  fc.boolean(),
  fc.integer(),
  fc.double(),
  fc.string(),
  fc.constantFrom<unknown>(
    "api-key",
    "auto",
    "TLSv1.3",
    "turn",
    "udp",
    "robot.example:8080",
    "turn:robot.example",
    ["stun:robot.example"],
    "robot-secret",
    new AbortController().signal,
    new Headers({ a: "b" }),
    { a: "b" },
    [["a", "b"]],
    [{ urls: "stun:robot.example" }],
    () => {},
    [() => {}],
    console,
    0,
    1,
    Infinity,
  ),
);

const name = fc.oneof(fc.constantFrom(...NAMES), fc.string());
const group = fc.dictionary(name, leaf, { noNullPrototype: false });
const options = fc.dictionary(name, fc.oneof(leaf, group), { noNullPrototype: false });

/** Options whose every value is right: what contradicts is left to chance. */
const plausible = fc.record({
  disableWebrtc: fc.boolean(),
  authEntity: fc.constantFrom("5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c", "robot.example"),
  credentials: fc.record({
    type: fc.constantFrom("api-key", "robot-secret"),
    payload: fc.string({ minLength: 1 }),
  }),
  accessToken: fc.string({ minLength: 1 }),
  externalAuth: fc.record(
    {
      address: fc.constantFrom("auth.example", "https://auth.example"),
      toEntity: fc.constant("x"),
      insecure: fc.boolean(),
    },
    { requiredKeys: ["address", "toEntity"] },
  ),
  insecure: fc.boolean(),
  timeoutMs: fc.oneof(fc.nat(), fc.constant(Infinity)),
  tls: fc.record(
    { ca: fc.array(fc.string({ minLength: 1 })), cert: fc.constant("c"), key: fc.constant("k") },
    {
      requiredKeys: [],
    },
  ),
  webrtc: fc.record({
    forceRelay: fc.boolean(),
    forceP2P: fc.boolean(),
    iceServers: fc.array(fc.record({ urls: fc.array(fc.constant("stun:a.example"), { minLength: 1 }) })),
  }, { requiredKeys: [] }),
  headers: fc.array(fc.tuple(fc.constantFrom("a", "b", "c-bin"), fc.constantFrom("1", "AA", "x, y"))),
  interceptors: fc.array(fc.constant((next: unknown) => next)),
  signal: fc.constant(new AbortController().signal),
}, { requiredKeys: [] });

/** Runs it, and lets nothing through but what it may throw. */
function resolved(given: unknown): ResolvedDialOptions | DialOptionsError {
  try {
    return resolveDialOptions(given as DialOptions);
  } catch (error) {
    assert.ok(error instanceof DialOptionsError, `threw ${inspect(error)}`);
    assert.ok(error.problems.length > 0);
    for (const problem of error.problems) assert.ok(error.message.includes(problem.message));
    return error;
  }
}

/** Plain objects and lists, all the way down. Functions and signals belong to the caller. */
function assertFrozen(value: unknown, path: string): void {
  if (typeof value !== "object" || value === null || value instanceof AbortSignal) return;
  assert.ok(Object.isFrozen(value), `${path} is not frozen`);
  for (const [member, item] of Object.entries(value)) assertFrozen(item, `${path}.${member}`);
}

function assertComplete(result: ResolvedDialOptions): void {
  assertFrozen(result, "options");
  assert.deepEqual(Object.keys(result), Object.keys(resolveDialOptions()));
  for (const member of ["insecure", "mdns", "disableWebrtc"] as const) {
    assert.equal(typeof result[member], "boolean");
  }
  assert.ok(result.timeoutMs > 0);
  assert.equal(typeof result.logger.warn, "function");
}

test("resolveDialOptions() makes of anything a frozen whole or a DialOptionsError", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.anything({ withNullPrototype: true, withMap: true, withDate: true }), options),
      (given) => {
        const result = resolved(given);
        if (!(result instanceof DialOptionsError)) assertComplete(result);
      },
    ),
    { numRuns: 1_000 },
  );
}, { pure: true });

test(
  "resolveDialOptions() makes of plausible options a frozen whole, and changes nothing of the caller's",
  () => {
    let whole = 0;
    fc.assert(
      fc.property(plausible, (given) => {
        const before = inspect(given, { depth: 9, showHidden: true });
        const result = resolved(given);
        assert.equal(inspect(given, { depth: 9, showHidden: true }), before);
        if (result instanceof DialOptionsError) {
          for (const { message } of result.problems) assert.match(message, /combined|missing/);
          return;
        }
        whole++;
        assertComplete(result);
        const { credentials, tls } = result;
        const deep = inspect(result, { depth: 9 });
        if (credentials !== undefined && credentials.payload.length > 12) {
          assert.ok(!deep.includes(credentials.payload));
        }
        if (tls.ca !== undefined) assert.notEqual(tls.ca, given.tls?.ca);
      }),
      { numRuns: 1_000 },
    );
    assert.ok(whole > 50, `only ${whole} were whole`);
  },
  { pure: true },
);

/** A proxy that misbehaves in the trap that `turn` names, at random otherwise honest. */
function hostile(target: object, trap: string): object {
  const fail = () => {
    throw new RangeError("a trap");
  };
  if (trap === "revoked") {
    const { proxy, revoke } = Proxy.revocable(target, {});
    revoke();
    return proxy;
  }
  if (trap === "fickle") {
    let reads = 0;
    return new Proxy(target, {
      get: (from, member) => ++reads % 2 === 0 ? Symbol("surprise") : Reflect.get(from, member),
    });
  }
  return new Proxy(target, { [trap]: fail });
}

const TRAPS = ["get", "has", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf", "revoked", "fickle"];

test("resolveDialOptions() throws nothing else for proxies and getters that do", () => {
  fc.assert(
    fc.property(plausible, fc.constantFrom(...TRAPS), fc.constantFrom(...NAMES), (given, trap, member) => {
      const inner = (given as Record<string, unknown>)[member];
      const target = typeof inner === "object" && inner !== null ? inner : {};
      for (const value of [hostile(given, trap), { ...given, [member]: hostile(target, trap) }]) {
        const result = resolved(value);
        if (!(result instanceof DialOptionsError)) assertComplete(result);
      }
      const throwing = Object.defineProperty({ ...given }, member, {
        enumerable: true,
        get() {
          throw new RangeError("a getter");
        },
      });
      assert.ok(resolved(throwing) instanceof DialOptionsError);
    }),
    { numRuns: 500 },
  );
}, { pure: true });

test("resolveDialOptions() reads every member once", () => {
  const reads = new Map<PropertyKey, number>();
  const given: DialOptions = {
    timeoutMs: 5,
    credentials: { type: "robot-secret", payload: "x" },
    headers: { a: "b" },
    logger: { warn: () => {} },
    webrtc: { forceRelay: true },
  };
  resolveDialOptions(
    new Proxy(given, {
      get(target, member) {
        reads.set(member, (reads.get(member) ?? 0) + 1);
        return Reflect.get(target, member);
      },
    }),
  );
  for (const [member, count] of reads) assert.equal(count, 1, String(member));
}, { pure: true });

test("resolveDialOptions() takes inherited options, as of a class of options", () => {
  class Defaults {
    get timeoutMs() {
      return 7;
    }
  }
  assert.equal(resolveDialOptions(new Defaults()).timeoutMs, 7);
  assert.ok(resolved(Object.create({ timeoutMs: "x" })) instanceof DialOptionsError);
}, { pure: true });

test("resolveDialOptions() is not impressed by what happens to the caller's object later", () => {
  const credentials = { type: "robot-secret", payload: "x" };
  const iceServers = [{ urls: ["stun:a.example"] }];
  const headers = new Headers({ a: "b" });
  const result = resolveDialOptions({ credentials, headers, webrtc: { iceServers } });
  credentials.payload = "y";
  iceServers[0]!.urls.push("nonsense");
  iceServers.length = 0;
  headers.set("a", "c");
  assert.equal(result.credentials?.payload, "x");
  assert.deepEqual(result.webrtc.iceServers, [{ urls: ["stun:a.example"] }]);
  assert.deepEqual(result.headers, [["a", "b"]]);
}, { pure: true });

test("resolveDial() makes of any address a dial or a DialOptionsError", () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string(), fc.webUrl(), fc.domain(), fc.ipV6()), (address) => {
      try {
        const { address: parsed } = resolveDial(address as string);
        assert.ok(Object.isFrozen(parsed));
      } catch (error) {
        assert.ok(error instanceof DialOptionsError, `threw ${inspect(error)}`);
      }
    }),
    { numRuns: 1_000 },
  );
}, { pure: true });
