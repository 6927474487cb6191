import assert from "node:assert/strict";
import { DialOptionsError } from "../../lib/options/options_error.ts";
import { DialOptions } from "../../lib/options/options.ts";
import { resolveDial, resolveDialOptions } from "../../lib/options/resolve_options.ts";
import { test } from "../harness.ts";

const id = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";
const secret = "very-secret-0123456789";

/** Options as untyped programs write them. */
function refused(options: unknown): DialOptionsError {
  try {
    resolveDialOptions(options as DialOptions);
  } catch (error) {
    assert.ok(error instanceof DialOptionsError && error instanceof TypeError);
    return error;
  }
  assert.fail("it was not refused");
}

const wrong: readonly [options: unknown, option: string, text: RegExp][] = [
  [{ timeoutMs: -1 }, "timeoutMs", /-1 is no number of milliseconds/],
  [{ timeoutMs: "20" }, "timeoutMs", /"20" is no number/],
  [{ timeoutMs: NaN }, "timeoutMs", /NaN/],
  [{ disableWebrtc: 1 }, "disableWebrtc", /1 is neither true nor false/],
  [{ disable_webrtc: true }, "disable_webrtc", /no option of this name; did you mean disableWebrtc/],
  [{ timeoutms: 5 }, "timeoutms", /did you mean timeoutMs/],
  [{ entity: "x" }, "entity", /no option of this name/],
  [{ maxReconnectAttempts: 1.5 }, "maxReconnectAttempts", /1.5 is no integer/],
  [{ initialAttempts: 0 }, "initialAttempts", /0 is no integer of at least 1/],
  [{ credentials: "key" }, "credentials", /is no object/],
  [{ credentials: { type: "", payload: "x" } }, "credentials.type", /no non-empty string/],
  [{ credentials: { type: "api-key", payload: 5 } }, "credentials.payload", /value of type number/],
  [{ credentials: { type: "robot-secret" } }, "credentials.payload", /is missing/],
  [{ credentials: { type: "api-key", payload: secret } }, "authEntity", /id of the key/],
  [{ signal: {} }, "signal", /no AbortSignal/],
  [{ tls: { ca: 5 } }, "tls.ca", /5/],
  [{ tls: { cert: "pem" } }, "tls.key", /is missing/],
  [{ tls: { minVersion: "TLSv1" } }, "tls.minVersion", /is none of/],
  [{ protocol: "http" }, "protocol", /"http" is none of "auto", "grpc", "grpc-web"/],
  [{ webrtc: { turnPort: 70000 } }, "webrtc.turnPort", /from 1 to 65535/],
  [{ webrtc: { iceServers: [{ urls: "http://x" }] } }, "webrtc.iceServers", /no stun:/],
  [{ webrtc: { signalingAddress: "a b" } }, "webrtc.signalingAddress", /white space/],
  [{ webrtc: { turnUri: "stun:x" } }, "webrtc.turnUri", /no turn:/],
  [{ interceptors: [5] }, "interceptors", /item \[0\] that is no function/],
  [{ headers: { "a b": "c" } }, "headers", /entry "a b" that HTTP does not allow/],
  [{ headers: { a: 5 } }, "headers", /entry "a" whose value is no string/],
  [{ headers: [["a"]] }, "headers", /no pair/],
  [{ headers: endless() }, "headers", /more than 1000 entries/],
  [{ headers: secret }, "headers", /22 characters is no HeadersInit/],
  [{ credentials: secret }, "credentials", /22 characters is no object/],
  [{ webrtc: { signalingAddress: `http://me:${secret}@robot` } }, "webrtc.signalingAddress", /user part/],
  [
    {
      get timeoutMs() {
        throw new Error(secret);
      },
    },
    "timeoutMs",
    /cannot be read/,
  ],
  [
    { externalAuth: { address: "auth.example", toEntity: "robot" } },
    "credentials",
    /externalAuth exchanges them/,
  ],
  [
    {
      credentials: { type: "robot-secret", payload: secret },
      externalAuth: { address: "https://auth.example", toEntity: "robot", insecure: true },
    },
    "externalAuth.insecure",
    /its https asks for TLS/,
  ],
  [
    {
      credentials: { type: "robot-secret", payload: secret },
      externalAuth: { address: "http://auth.example", toEntity: "robot", insecure: false },
    },
    "externalAuth.insecure",
    /its http asks for no TLS/,
  ],
  [
    { webrtc: { signalingAddress: "http://signal.example", signalingInsecure: false } },
    "webrtc.signalingInsecure",
    /its http asks for no TLS/,
  ],
  [{ logger: { info: 5 } }, "logger", /"info" that is no function/],
  [{ onEvent: "x" }, "onEvent", /no function/],
  [{ maxBufferedBytes: 0 }, "maxBufferedBytes", /at least 1/],
  ["text", "options", /is no object/],
  [[], "options", /is no object/],
  [
    { accessToken: "t", credentials: { type: "robot-secret", payload: secret } },
    "accessToken",
    /combined with credentials/,
  ],
  [{ webrtc: { forceRelay: true, forceP2P: true } }, "webrtc.forceRelay", /combined with webrtc.forceP2P/],
  [{ insecure: true, tls: { ca: "pem" } }, "tls", /combined with insecure/],
];

function* endless(): Generator<[string, string]> {
  for (;;) yield ["a", "b"];
}

for (const [options, option, text] of wrong) {
  test(`resolveDialOptions() refuses ${option}: ${text.source}`, () => {
    const error = refused(options);
    assert.deepEqual(error.problems.map(({ option }) => option), [option]);
    assert.match(error.message, text);
    assert.ok(error.message.includes(option));
    assert.ok(!error.message.includes(secret));
  }, { pure: true });
}

test("resolveDialOptions() lists every problem", () => {
  const error = refused({ timeoutMs: "x", insecure: "yes", protocol: 3, webrtc: { forceRelay: 1 } });
  assert.deepEqual(error.problems.map(({ option }) => option), [
    "timeoutMs",
    "insecure",
    "protocol",
    "webrtc.forceRelay",
  ]);
}, { pure: true });

test("resolveDialOptions() fills in the defaults, frozen, and leaves the caller's object alone", () => {
  const given = Object.freeze({});
  const { logger: _, ...options } = resolveDialOptions(given);
  assert.deepEqual(options, {
    disableWebrtc: false,
    authEntity: undefined,
    credentials: undefined,
    accessToken: undefined,
    externalAuth: undefined,
    insecure: false,
    allowInsecureDowngrade: false,
    allowInsecureWithCredsDowngrade: false,
    maxReconnectAttempts: 3,
    initialAttempts: 1,
    timeoutMs: 20_000,
    signal: undefined,
    tls: {},
    protocol: "auto",
    compression: "none",
    mdns: true,
    webrtc: {},
    signalingAddress: undefined,
    interceptors: [],
    headers: [],
    maxBufferedBytes: 67_108_864,
    keepAliveMs: 20_000,
    onEvent: undefined,
  });
  assert.ok(Object.isFrozen(resolveDialOptions()));
  assert.equal(resolveDialOptions({ timeoutMs: 0 }).timeoutMs, Infinity);
  // Timers hold no more than 31 bits; with more they would be over at once.
  for (const long of [2 ** 31, Number.MAX_SAFE_INTEGER]) {
    const { timeoutMs, keepAliveMs } = resolveDialOptions({ timeoutMs: long, keepAliveMs: long });
    assert.deepEqual([timeoutMs, keepAliveMs], [Infinity, 0]);
  }
}, { pure: true });

test("withApiKey() makes frozen options", () => {
  const options = DialOptions.withApiKey(secret, id, { timeoutMs: 5 });
  assert.deepEqual({ ...options }, {
    timeoutMs: 5,
    credentials: { type: "api-key", payload: secret },
    authEntity: id,
  });
  assert.ok(Object.isFrozen(options));
}, { pure: true });

for (const good of [id, id.toUpperCase(), `{${id}}`, `urn:uuid:${id}`, id.replaceAll("-", "")]) {
  test(`withApiKey() takes the id ${good}, and passes it on unchanged`, () => {
    assert.equal(DialOptions.withApiKey("k", good).authEntity, good);
  }, { pure: true });
}

for (const bad of ["", "not-a-uuid", id.slice(1), `${id}0`, "zz28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c"]) {
  test(`withApiKey() refuses the id ${JSON.stringify(bad)}`, () => {
    assert.throws(() => DialOptions.withApiKey("k", bad), (error: unknown) => {
      assert.ok(error instanceof DialOptionsError);
      assert.ok(error.message.startsWith(`${bad} is not a valid UUID`));
      return true;
    });
  }, { pure: true });
}

test("withApiKey() never shows a key, not even one that is given as the id", () => {
  assert.throws(() => DialOptions.withApiKey(id, secret), (error: unknown) => {
    assert.ok(error instanceof DialOptionsError);
    assert.ok(!JSON.stringify([error.message, error.problems]).includes(secret));
    assert.match(error.message, /the key comes first/);
    return true;
  });
}, { pure: true });

test("resolveDial() refuses what it cannot dial, and hides a password", () => {
  for (const address of ["", "robot:0", "ftp://robot", 5 as unknown as string]) {
    assert.throws(() => resolveDial(address), DialOptionsError);
  }
  assert.throws(() => resolveDial(`http://user:${secret}@robot`), (error: unknown) => {
    assert.ok(error instanceof DialOptionsError);
    assert.ok(!error.message.includes(secret));
    return true;
  });
  assert.equal(resolveDial(new URL("https://robot:99")).address.port, 99);
}, { pure: true });

const opposite: readonly [address: string, options: DialOptions, text: RegExp | undefined][] = [
  ["https://robot", { insecure: true }, /asks for TLS, and insecure forbids it/],
  ["http://robot", { insecure: false }, /asks for no TLS, and insecure: false asks for it/],
  ["http://robot", { tls: { ca: "pem" } }, /nothing that tls could set/],
  ["http://robot", { tls: { ca: "pem" }, webrtc: { signalingAddress: "https://signal" } }, undefined],
  ["http://robot", { insecure: true }, undefined],
  ["https://robot", { insecure: false, tls: { ca: "pem" } }, undefined],
  ["http://robot", {}, undefined],
];
for (const [address, options, text] of opposite) {
  test(
    `resolveDial() ${text === undefined ? "takes" : "refuses"} ${address} with ${JSON.stringify(options)}`,
    () => {
      if (text === undefined) resolveDial(address, options);
      else assert.throws(() => resolveDial(address, options), text);
    },
    { pure: true },
  );
}

test("resolveDial() reports what is wrong with the address and with every option at once", () => {
  const options = {
    insecure: true,
    timeoutMs: -1,
    tls: { cert: "pem", minVersion: "SSLv3" },
    accessToken: secret,
    credentials: { type: "api-key", payload: secret },
    webrtc: { forceRelay: true, forceP2P: true, signalingAdress: "x" },
    disable_webrtc: true,
  } as unknown as DialOptions;
  assert.throws(() => resolveDial("ftp://robot", options), (error: unknown) => {
    assert.ok(error instanceof DialOptionsError);
    assert.deepEqual(error.problems.map(({ option }) => option), [
      "address",
      "timeoutMs",
      "tls.minVersion",
      "webrtc.signalingAdress",
      "disable_webrtc",
      "authEntity",
      "accessToken",
    ]);
    for (const { message } of error.problems) assert.ok(error.message.includes(message));
    assert.ok(!error.message.includes(secret));
    return true;
  });
}, { pure: true });
