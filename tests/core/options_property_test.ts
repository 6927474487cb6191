import assert from "node:assert/strict";
import { inspect } from "node:util";
import fc from "fast-check";
import { DialOptionsError } from "../../lib/options/options_error.ts";
import type { DialOptions } from "../../lib/options/dial_options.ts";
import { type ResolvedDialOptions, resolveDial, resolveDialOptions } from "../../lib/options/resolve.ts";
import { LOGGER } from "../../lib/logger.ts";
import { test } from "../harness.ts";

const NAMES = [
  ...["disableWebrtc", "authEntity", "credentials", "accessToken", "externalAuth", "insecure"],
  ...["allowInsecureDowngrade", "allowInsecureWithCredsDowngrade", "maxReconnectAttempts", "initialAttempts"],
  ...[
    "timeoutMs",
    "signal",
    "tls",
    "protocol",
    "compression",
    "mdns",
    "webrtc",
    "interceptors",
    "headers",
    "session",
  ],
  ...[
    "methods",
    "maxBufferedBytes",
    "keepAliveMs",
    "logger",
    "onEvent",
    "address",
    "type",
    "payload",
    "toEntity",
  ],
  ...["ca", "cert", "key", "serverName", "rejectUnauthorized", "minVersion", "signalingAddress"],
  ...["signalingInsecure", "iceServers", "forceRelay", "forceP2P", "turnUri", "turnScheme", "turnPort"],
  ...[
    "turnTransport",
    "separateBulk",
    "urls",
    "username",
    "credential",
    "__proto__",
    "constructor",
    "toString",
    "length",
  ],
];

/** Arbitrary values, and some that options accept. */
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

/** Options whose values are valid one by one, and may contradict each other. */
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
    separateBulk: fc.boolean(),
    forceP2P: fc.boolean(),
    iceServers: fc.array(fc.record({ urls: fc.array(fc.constant("stun:a.example"), { minLength: 1 }) })),
  }, { requiredKeys: [] }),
  headers: fc.array(fc.tuple(fc.constantFrom("a", "b", "c-bin"), fc.constantFrom("1", "AA", "x, y"))),
  session: fc.oneof(
    fc.boolean(),
    fc.record({ methods: fc.array(fc.constant("/acme.Arm/Move")) }, { requiredKeys: [] }),
  ),
  interceptors: fc.array(fc.constant((next: unknown) => next)),
  signal: fc.constant(new AbortController().signal),
}, { requiredKeys: [] });

/** Resolves options, and fails on any other error. */
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

/** Checks objects and lists at any depth. Functions and signals belong to the caller; the level of LOGGER may change. */
function assertFrozen(value: unknown, path: string): void {
  if (typeof value !== "object" || value === null || value instanceof AbortSignal || value === LOGGER) return;
  assert.ok(Object.isFrozen(value), `${path} is not frozen`);
  for (const [member, item] of Object.entries(value)) assertFrozen(item, `${path}.${member}`);
}

function assertComplete(result: ResolvedDialOptions): void {
  assertFrozen(result, "options");
  assert.deepEqual(Object.keys(result).toSorted(), Object.keys(resolveDialOptions()).toSorted());
  for (const member of ["insecure", "mdns", "disableWebrtc"] as const) {
    assert.equal(typeof result[member], "boolean");
  }
  assert.ok(result.timeoutMs > 0);
  assert.equal(typeof result.logger.warn, "function");
}

test("resolveDialOptions() returns frozen options or throws a DialOptionsError, whatever it is given", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.anything({ withNullPrototype: true, withMap: true, withDate: true }), options),
      (given) => {
        const result = resolved(given);
        if (!(result instanceof DialOptionsError)) assertComplete(result);
      },
    ),
    { numRuns: 500 },
  );
}, { pure: true });

test(
  "resolveDialOptions() returns frozen options for plausible ones, and leaves the caller's alone",
  () => {
    let whole = 0;
    fc.assert(
      fc.property(plausible, (given) => {
        const before = inspect(given, { depth: 9, showHidden: true });
        const result = resolved(given);
        assert.equal(inspect(given, { depth: 9, showHidden: true }), before);
        if (result instanceof DialOptionsError) {
          for (const { message } of result.problems) {
            assert.match(message, /combined|missing|contradicts|no effect/);
          }
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
      { numRuns: 500 },
    );
    assert.ok(whole > 10, `only ${whole} were whole`);
  },
  { pure: true },
);

test("resolveDialOptions() accepts inherited options, as from a class of options", () => {
  class Defaults {
    get timeoutMs() {
      return 7;
    }
  }
  assert.equal(resolveDialOptions(new Defaults()).timeoutMs, 7);
  assert.ok(resolved(Object.create({ timeoutMs: "x" })) instanceof DialOptionsError);
}, { pure: true });

test("resolveDialOptions() copies: later changes of the caller's object have no effect", () => {
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

test("resolveDial() returns an address or throws a DialOptionsError, whatever it is given", () => {
  fc.assert(
    fc.property(fc.oneof(fc.anything(), fc.string(), fc.webUrl(), fc.domain(), fc.ipV6()), (address) => {
      try {
        const { address: parsed } = resolveDial(address as string);
        assert.ok(Object.isFrozen(parsed));
      } catch (error) {
        assert.ok(error instanceof DialOptionsError, `threw ${inspect(error)}`);
      }
    }),
    { numRuns: 500 },
  );
}, { pure: true });
