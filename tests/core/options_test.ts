import assert from "node:assert/strict";
import { DialOptionsError } from "../../lib/options/options_error.ts";
import { DialOptions } from "../../lib/options/dial_options.ts";
import { resolveDial, resolveDialOptions } from "../../lib/options/resolve.ts";
import { test } from "../harness.ts";

const id = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";
const secret = "very-secret-0123456789";

/** Resolves options as untyped programs write them, and returns the refusal. */
function refused(options: unknown): DialOptionsError {
  try {
    resolveDialOptions(options as DialOptions);
  } catch (error) {
    assert.ok(error instanceof DialOptionsError && error instanceof TypeError);
    return error;
  }
  assert.fail("the options were accepted");
}

const wrong: readonly [options: unknown, option: string, text: RegExp][] = [
  [{ timeoutMs: -1 }, "timeoutMs", /timeoutMs must be milliseconds ≥ 0 \(got -1\)/],
  [{ timeoutMs: "20" }, "timeoutMs", /got "20"/],
  [{ timeoutMs: NaN }, "timeoutMs", /got NaN/],
  [{ disableWebrtc: 1 }, "disableWebrtc", /must be true or false \(got 1\)/],
  [{ disable_webrtc: true }, "disable_webrtc", /is not an option; did you mean disableWebrtc\?/],
  [{ timeoutms: 5 }, "timeoutms", /did you mean timeoutMs/],
  [{ entity: "x" }, "entity", /entity is not an option$/],
  [{ maxReconnectAttempts: 1.5 }, "maxReconnectAttempts", /must be an integer ≥ 0, or Infinity \(got 1.5\)/],
  [{ initialAttempts: 0 }, "initialAttempts", /must be an integer ≥ 1 \(got 0\)/],
  [{ credentials: "key" }, "credentials", /must be an object/],
  [{ credentials: { type: "", payload: "x" } }, "credentials.type", /must be a non-empty string \(got ""\)/],
  [{ credentials: { type: "api-key", payload: 5 } }, "credentials.payload", /got a number/],
  [{ credentials: { type: "robot-secret" } }, "credentials.payload", /credentials\.payload is missing$/],
  [{ credentials: { type: "api-key", payload: secret } }, "authEntity", /is missing: .* id of the key/],
  [{ signal: {} }, "signal", /must be an AbortSignal \(got an object\)/],
  [{ tls: { ca: 5 } }, "tls.ca", /must be a string or an array of strings \(got 5\)/],
  [{ tls: { ca: ["pem", ""] } }, "tls.ca", /tls\.ca\[1\] must be a non-empty string/],
  [{ tls: { cert: "pem" } }, "tls.key", /is missing: it belongs to tls\.cert/],
  [{ tls: { minVersion: "TLSv1" } }, "tls.minVersion", /must be "TLSv1\.2" or "TLSv1\.3"/],
  [{ protocol: "http" }, "protocol", /must be "auto" or "grpc" or "grpc-web" \(got "http"\)/],
  [{ webrtc: { turnPort: 70000 } }, "webrtc.turnPort", /from 1 to 65535/],
  [
    { webrtc: { iceServers: [{ urls: "http://x" }] } },
    "webrtc.iceServers",
    /\[0\]\.urls\[0\] must be a stun:/,
  ],
  [{ webrtc: { iceServers: [{ urls: [] }] } }, "webrtc.iceServers", /\[0\]\.urls must have a URL/],
  [
    { webrtc: { iceServers: [{ urls: "turn:a", credential: 5 }] } },
    "webrtc.iceServers",
    /\.credential must be/,
  ],
  [{ webrtc: { signalingAddress: "a b" } }, "webrtc.signalingAddress", /white space/],
  [{ webrtc: { turnUri: "stun:x" } }, "webrtc.turnUri", /must be a turn: or turns: URL \(got "stun:x"\)/],
  [{ interceptors: [5] }, "interceptors", /interceptors\[0\] must be a function \(got 5\)/],
  [{ headers: { "a b": "c" } }, "headers", /headers\["a b"\] must have .* that HTTP allows/],
  [{ headers: { a: 5 } }, "headers", /headers\["a"\] must be a string \(got a number\)/],
  [{ headers: [["a"]] }, "headers", /must hold pairs of a name and a value/],
  [{ headers: secret }, "headers", /must be a HeadersInit \(got a string of 22 characters\)/],
  [{ credentials: secret }, "credentials", /must be an object \(got a string of 22 characters\)/],
  [{ webrtc: { signalingAddress: `http://me:${secret}@robot` } }, "webrtc.signalingAddress", /user part/],
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
    /https asks for TLS/,
  ],
  [
    {
      credentials: { type: "robot-secret", payload: secret },
      externalAuth: { address: "http://auth.example", toEntity: "robot", insecure: false },
    },
    "externalAuth.insecure",
    /http disables TLS/,
  ],
  [
    { webrtc: { signalingAddress: "http://signal.example", signalingInsecure: false } },
    "webrtc.signalingInsecure",
    /http disables TLS/,
  ],
  [
    { webrtc: { signalingAddress: "https://signal.example", signalingInsecure: true } },
    "webrtc.signalingInsecure",
    /https asks for TLS/,
  ],
  [{ logger: { info: 5 } }, "logger", /logger\.info must be a function/],
  [{ onEvent: "x" }, "onEvent", /must be a function/],
  [{ maxBufferedBytes: 0 }, "maxBufferedBytes", /≥ 1/],
  ["text", "options", /options must be an object/],
  [[], "options", /options must be an object \(got an array\)/],
  [
    { accessToken: "t", credentials: { type: "robot-secret", payload: secret } },
    "accessToken",
    /combined with credentials/,
  ],
  [{ webrtc: { forceRelay: true, forceP2P: true } }, "webrtc.forceRelay", /combined with webrtc.forceP2P/],
  [{ webrtc: { forceP2P: true, turnUri: "turn:a" } }, "webrtc.turnUri", /combined with webrtc.forceP2P/],
  [{ insecure: true, tls: { ca: "pem" } }, "tls", /no effect, since insecure disables TLS/],
];

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
    "insecure",
    "timeoutMs",
    "protocol",
    "webrtc.forceRelay",
  ]);
}, { pure: true });

test("resolveDialOptions() fills in the defaults and freezes the result", () => {
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
    proxy: "environment",
    mdns: true,
    webrtc: {},
    signalingAddress: undefined,
    session: undefined,
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

test("withApiKey() returns frozen options", () => {
  const options = DialOptions.withApiKey(secret, id, { timeoutMs: 5 });
  assert.deepEqual({ ...options }, {
    timeoutMs: 5,
    credentials: { type: "api-key", payload: secret },
    authEntity: id,
  });
  assert.ok(Object.isFrozen(options));
}, { pure: true });

for (const good of [id, id.toUpperCase(), `{${id}}`, `urn:uuid:${id}`, id.replaceAll("-", "")]) {
  test(`withApiKey() accepts the id ${good} and passes it on unchanged`, () => {
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

for (const padded of [`${secret}\n`, ` ${secret}`, `${secret}\r\n`]) {
  test(`withApiKey() refuses the white space of ${JSON.stringify(padded.replace(secret, "KEY"))}`, () => {
    assert.throws(() => DialOptions.withApiKey(padded, id), (error: unknown) => {
      assert.ok(error instanceof DialOptionsError);
      assert.match(
        error.message,
        /apiKey must not begin or end with white space \(got a string of \d+ characters\)/,
      );
      return true;
    });
  }, { pure: true });
}

test("withApiKey() never shows a key, not even one given as the id", () => {
  assert.throws(() => DialOptions.withApiKey(id, secret), (error: unknown) => {
    assert.ok(error instanceof DialOptionsError);
    assert.ok(!JSON.stringify([error.message, error.problems]).includes(secret));
    assert.match(error.message, /the key comes first/);
    return true;
  });
}, { pure: true });

test("resolveDial() refuses unusable addresses, and hides a password", () => {
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
  ["https://robot", { insecure: true }, /address https:\/\/robot asks for TLS, which insecure disables/],
  [
    "http://robot",
    { insecure: false },
    /address http:\/\/robot disables TLS, which insecure: false asks for/,
  ],
  [
    "http://robot",
    { tls: { ca: "pem" } },
    /address http:\/\/robot disables TLS, so that tls has no effect: remove it/,
  ],
  ["http://robot", { tls: { ca: "pem" }, webrtc: { signalingAddress: "https://signal" } }, undefined],
  ["http://robot", { insecure: true }, undefined],
  ["https://robot", { insecure: false, tls: { ca: "pem" } }, undefined],
  ["http://robot", {}, undefined],
];
for (const [address, options, text] of opposite) {
  test(
    `resolveDial() ${text === undefined ? "accepts" : "refuses"} ${address} with ${JSON.stringify(options)}`,
    () => {
      if (text === undefined) resolveDial(address, options);
      else assert.throws(() => resolveDial(address, options), text);
    },
    { pure: true },
  );
}

test("resolveDial() reports the problems of the address and of every option at once", () => {
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
