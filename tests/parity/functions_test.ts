import assert from "node:assert/strict";
import { ConnectError, createClient } from "@connectrpc/connect";
import { EchoService, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import { API_VERSION, VERSION } from "../../lib/runtime/version.ts";
import {
  AuthenticatedChannel,
  AuthenticationError,
  dial,
  dialDirect,
  DialError,
  DialOptions,
  DialOptionsError,
  DialPermissionError,
  DialTimeoutError,
  HostOfflineError,
  InsecureConnectionError,
  resolveDialOptions,
  SignalingError,
  ViamChannel,
} from "../../mod.ts";
import { test } from "../harness.ts";
import {
  AUTHENTICATE,
  CALL,
  callsTo,
  CONFIG,
  failureOf,
  optionsFor,
  startSecureMachine,
  WAYS,
} from "./robots.ts";

test("row 54: dial() goes by WebRTC, directly where names or options say so or nobody signals, and masks no failure", async () => {
  await using machine = await startMachine();
  const local = machine.address.replace("127.0.0.1", "localhost");
  const kinds: readonly [address: string, options: DialOptions, kind: string][] = [
    [machine.address, {}, "webrtc"],
    [machine.address, { disableWebrtc: true }, "direct"],
    [local, {}, "direct"],
  ];
  for (const [address, options, kind] of kinds) {
    await using channel = await dial(address, { ...optionsFor(machine), ...options });
    assert.equal(channel.kind, kind, address);
  }
  await using silent = await startMachine({ webrtc: false });
  await using channel = await dial(silent.address, optionsFor(silent));
  assert.equal(channel.kind, "direct");

  machine.faults = { signaling: { offline: true } };
  const echoes = callsTo(machine, "/proto.rpc.examples.echo.v1.EchoService/Echo");
  const error = await failureOf(dial(machine.address, optionsFor(machine)));
  assert.ok(error instanceof HostOfflineError);
  assert.deepEqual(error.attempts.map(({ path }) => path), ["webrtc"]);
  assert.equal(callsTo(machine, "/proto.rpc.examples.echo.v1.EchoService/Echo"), echoes);
});

test("row 55: an address is a host, with port or scheme, or a URL; what contradicts the options is refused", async () => {
  await using machine = await startMachine({ hosts: ["robot.example:99"] });
  const { ca, machine: secure } = await startSecureMachine({ auth: "none" });
  await using _ = secure;
  const { insecure: _insecure, ...key } = optionsFor(machine);
  for (const address of [machine.url, new URL(machine.url)]) {
    await (await dial(address, { ...key, disableWebrtc: true })).close();
  }
  await (await dial(secure.url, { tls: { ca } })).close();
  const refused: readonly [address: string, options: DialOptions][] = [
    [secure.url, { insecure: true }],
    [machine.url, { insecure: false }],
    ["ftp://robot.example", {}],
    ["robot.example/path", {}],
    ["robot.example:0", {}],
    ["", {}],
  ];
  for (const [address, options] of refused) {
    const error = await failureOf(dial(address, options));
    assert.ok(error instanceof DialOptionsError, address);
    assert.equal(error.problems[0]!.option, "address");
  }
  // The machine is known to its signaling server by what was typed, port and all.
  const webrtc = { signalingAddress: machine.address };
  await using channel = await dial("http://robot.example:99", { ...key, insecure: true, webrtc });
  assert.equal(channel.kind, "webrtc");
});

test("row 56: options may be left out: undefined, {} and the defaults are the same", async () => {
  const settings = ({ logger: _, ...others }: ReturnType<typeof resolveDialOptions>) => others;
  assert.deepEqual(settings(resolveDialOptions()), settings(resolveDialOptions({})));
  assert.deepEqual(
    settings(resolveDialOptions({ insecure: undefined } as unknown as DialOptions)),
    settings(resolveDialOptions()),
  );
  await using machine = await startMachine({ auth: "none" });
  for (const failed of [dial(machine.address), dial(machine.address, undefined), dial(machine.address, {})]) {
    assert.ok(await failureOf(failed) instanceof InsecureConnectionError);
  }
});

test("row 57: dial() resolves when calls go through: the way is open and the token there", async () => {
  for (const [, way] of WAYS) {
    await using machine = await startMachine();
    await using channel = await dial(machine.address, { ...optionsFor(machine), ...way });
    assert.equal(channel.state, "connected");
    assert.equal(callsTo(machine, AUTHENTICATE), 1);
    const before = Object.values(machine.calls).reduce((sum, count) => sum + count);
    assert.equal((await createClient(EchoService, channel).echo({ message: "first" })).message, "first");
    assert.equal(callsTo(machine, AUTHENTICATE), 1);
    const calls = Object.values(machine.calls).reduce((sum, count) => sum + count) - before;
    assert.ok(calls >= 1);
  }
});

test("row 58: a failed dial is a DialError with phase, address, attempts and cause, of the kind that fits", async () => {
  await using machine = await startMachine();
  const { address, apiKeyId } = machine;
  const wrongKey = { ...DialOptions.withApiKey("wrong", apiKeyId), insecure: true };
  const kinds: readonly [
    kind: new (...args: never[]) => DialError,
    options: DialOptions,
    faults: typeof machine.faults,
  ][] = [
    [AuthenticationError, wrongKey, {}],
    [InsecureConnectionError, {}, {}],
    [HostOfflineError, optionsFor(machine), { signaling: { offline: true } }],
    [SignalingError, optionsFor(machine), { signaling: { rejectOffers: "no" } }],
    [DialTimeoutError, { ...optionsFor(machine), timeoutMs: 300 }, { silent: true }],
  ];
  for (const [kind, options, faults] of kinds) {
    machine.faults = faults;
    const error = await failureOf(dial(address, options));
    assert.ok(error instanceof kind && error instanceof DialError, String(error));
    assert.equal(error.address, address);
    assert.deepEqual(error.attempts.map(({ target }) => target), [address]);
    assert.ok(error.phase !== "options" && error.timeline.length > 0);
    if ([AuthenticationError, HostOfflineError, SignalingError].includes(kind as typeof SignalingError)) {
      assert.ok(error.cause instanceof ConnectError, String(error.cause));
    }
  }
  assert.ok(DialPermissionError.prototype instanceof DialError);
});

test("row 59: dialDirect() gives the bare channel, without signaling", async () => {
  await using machine = await startMachine();
  await using channel = await dialDirect(machine.address, optionsFor(machine));
  assert.ok(channel instanceof AuthenticatedChannel && !((channel as unknown) instanceof ViamChannel));
  assert.equal(channel.kind, "direct");
  assert.equal((await createClient(EchoService, channel).echo({ message: "x" })).message, "x");
  assert.deepEqual([callsTo(machine, CONFIG), callsTo(machine, CALL)], [0, 0]);
});

test("row 60: dialDirect() of an https URL with an API key reaches an app: TLS, as the id of the key, no signaling", async () => {
  const key = { type: "api-key", payload: "the-key", entity: "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c" };
  const { machine: app, ca } = await startSecureMachine({ auth: { credentials: [key] } });
  await using _ = app;
  await using channel = await dialDirect(
    app.url,
    DialOptions.withApiKey(key.payload, key.entity, { tls: { ca } }),
  );
  const { metadata } = await createClient(ProbeService, channel).inspect({});
  assert.match(metadata["authorization"]?.values[0] ?? "", /^Bearer /);
  assert.deepEqual([callsTo(app, AUTHENTICATE), callsTo(app, CONFIG), callsTo(app, CALL)], [1, 0, 0]);
});

test("row 61: every call introduces itself as viam_client, unless that is set", async () => {
  for (const [, way] of WAYS) {
    await using machine = await startMachine();
    const clientOf = async (options: DialOptions, headers?: HeadersInit) => {
      await using channel = await dial(machine.address, { ...optionsFor(machine), ...way, ...options });
      const { metadata } = await createClient(ProbeService, channel).inspect(
        {},
        headers === undefined ? {} : { headers },
      );
      return metadata["viam_client"]?.values;
    };
    assert.deepEqual(await clientOf({}), [`typescript;v${VERSION};v${API_VERSION}`]);
    assert.deepEqual(await clientOf({ headers: { viam_client: "mine;v1" } }), ["mine;v1"]);
    assert.deepEqual(await clientOf({}, { viam_client: "this-call" }), ["this-call"]);
  }
});
