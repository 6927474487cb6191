/**
 * Dials, fails and reconnects in many ways with generated secrets, and searches every log line, event, error and
 * inspection for them.
 */

import assert from "node:assert/strict";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import {
  EchoService,
  type Machine,
  type MachineOptions,
  ProbeService,
  startMachine,
} from "../../lib/testing/mod.ts";
import { dial, dialDirect, DialOptions, resolveDialOptions, type ViamChannel } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { createSecretKeeper, type SecretKeeper } from "./secret_keeper.ts";

const ID = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";

const WAYS: readonly DialOptions[] = [{}, { disableWebrtc: true }, { disableWebrtc: true, protocol: "grpc" }];

interface Setting {
  readonly keeper: SecretKeeper;
  /** Accepts the key `key` of `ID`; without TLS. */
  readonly machine: Machine;
  readonly key: string;
  /** Options for it that record all output. */
  readonly options: DialOptions;
}

/** Runs a scenario with a machine, and finds no secret in the output. */
function keepsSecrets(
  title: string,
  run: (setting: Setting) => Promise<void>,
  machineOptions: MachineOptions = {},
): void {
  test(`no log line, event, error or inspection has a secret: ${title}`, async () => {
    const keeper = createSecretKeeper();
    const key = keeper.secret("the key");
    await using machine = await startMachine({
      auth: { credentials: [{ type: "api-key", payload: key, entity: ID }], externalAuth: true },
      ...machineOptions,
    });
    const options = { ...DialOptions.withApiKey(key, ID), insecure: true, ...keeper.ears };
    await run({ keeper, machine, key, options });
    assert.deepEqual([...new Set(keeper.leaks())], []);
    assert.ok(keeper.counts.value > 0, "nothing was looked at");
  }, { timeoutMs: 60_000 });
}

/** Dials, expects a failure, and records it. */
async function fails(
  keeper: SecretKeeper,
  dialing: Promise<ViamChannel | { close(): Promise<void> }>,
): Promise<void> {
  const failure = await dialing.then(async (channel) => {
    await channel.close();
    assert.fail("it did not fail");
  }, (error) => error);
  keeper.show("failed dial", failure);
}

/** Makes calls that succeed and calls that fail. */
async function use(keeper: SecretKeeper, channel: ViamChannel): Promise<void> {
  const probe = createClient(ProbeService, channel);
  const { metadata } = await probe.inspect({});
  const token = metadata["authorization"]?.values[0];
  if (token !== undefined) keeper.guard("the bearer token", token.replace("Bearer ", ""));
  const show = (error: unknown) => keeper.show("failed call", error);
  await probe.failUnary({ code: Code.DataLoss, message: "no" }).catch(show);
  await Array.fromAsync(probe.fail({ code: Code.NotFound, after: 1 })).catch(show);
  await probe.hangUnary({}, { timeoutMs: 20 }).catch(show);
  for (const handle of [channel, channel.channel]) keeper.show("channel", handle);
  keeper.show("path and timeline", [channel.path, channel.timeline]);
}

keepsSecrets("dials that succeed, and their calls", async ({ keeper, machine, options }) => {
  const headers = { "x-password": keeper.secret("a header") };
  for (const way of WAYS) {
    const channel = await dial(machine.address, { ...options, ...way, headers });
    await use(keeper, channel);
    await channel.close();
    await createClient(EchoService, channel).echo({}).catch((error) =>
      keeper.show("call after close", error)
    );
  }
  assert.ok(keeper.counts.line > 10 && keeper.counts.event > 10);
});

keepsSecrets("a key, a token and a secret that are refused", async ({ keeper, machine, options }) => {
  for (const way of WAYS) {
    const wrong = keeper.secret("a wrong key");
    await fails(keeper, dial(machine.address, { ...options, ...way, ...DialOptions.withApiKey(wrong, ID) }));
    const { credentials: _, authEntity: __, ...others } = options;
    const payload = keeper.secret("a location secret");
    const credentials = { type: "robot-location-secret", payload };
    await fails(keeper, dial(machine.address, { ...others, ...way, credentials }));
    if (way.disableWebrtc !== true) {
      await fails(
        keeper,
        dial(machine.address, { ...others, ...way, accessToken: keeper.secret("a token") }),
      );
    }
  }
});

keepsSecrets("a ready token that calls find refused", async ({ keeper, machine, options }) => {
  const { credentials: _, authEntity: __, ...others } = options;
  await using channel = await dial(machine.address, {
    ...others,
    disableWebrtc: true,
    accessToken: keeper.secret("a token"),
  });
  await createClient(EchoService, channel).echo({}).catch((error) => keeper.show("refused call", error));
  keeper.show("channel", channel);
});

keepsSecrets("servers that fail in every phase", async ({ keeper, machine, options }) => {
  const faults: Machine["faults"][] = [
    // First, since later dials use the answer of an earlier one.
    { silent: true, only: (path) => path.endsWith("/OptionalWebRTCConfig") },
    { signaling: { offline: true } },
    { signaling: { rejectOffers: "no" } },
    { refuse: Code.Internal },
    { refuse: { code: Code.PermissionDenied, message: "not you" } },
    { silent: true },
    { silent: true, only: (path) => path.endsWith("/Authenticate") },
    { signaling: { neverAnswer: true } },
  ];
  for (const fault of faults) {
    machine.faults = fault;
    await fails(keeper, dial(machine.address, { ...options, timeoutMs: 400, initialAttempts: 2 }));
  }
  const stop = new AbortController();
  const dialing = dial(machine.address, { ...options, signal: stop.signal });
  stop.abort(new Error("enough"));
  await fails(keeper, dialing);
  await fails(keeper, dial("127.0.0.1:1", { ...options, timeoutMs: 2_000 }));
});

keepsSecrets("plaintext, with and without permission for it", async ({ keeper, machine, options }) => {
  const secure = { ...options, insecure: false };
  for (const way of WAYS) {
    await fails(keeper, dial(machine.address, { ...secure, ...way }));
    await fails(keeper, dial(machine.address, { ...secure, ...way, allowInsecureDowngrade: true }));
    const channel = await dial(machine.address, { ...secure, ...way, allowInsecureWithCredsDowngrade: true });
    await use(keeper, channel);
    await channel.close();
  }
});

keepsSecrets(
  "a connection that is lost, comes back, and is lost for good",
  async ({ keeper, machine, options }) => {
    const channel = await dial(machine.address, options);
    channel.addEventListener("reconnectfailed", ({ detail }) => keeper.show("reconnectfailed", detail));
    const pending = createClient(ProbeService, channel).hangUnary({}).catch((error) =>
      keeper.show("lost call", error)
    );
    const back = new Promise((resolve) => channel.addEventListener("connected", resolve, { once: true }));
    machine.dropConnections();
    await Promise.all([pending, back]);
    machine.faults = { refuse: { code: Code.Unauthenticated, message: "not any more" } };
    machine.dropConnections();
    keeper.show("what ended it", await channel.closed);
    await createClient(EchoService, channel).echo({}).catch((error) =>
      keeper.show("call after the end", error)
    );
  },
);

keepsSecrets("a token that is refused, and cannot be replaced", async ({ keeper, machine, options }) => {
  await using channel = await dial(machine.address, { ...options, disableWebrtc: true });
  await use(keeper, channel);
  machine.revokeTokens();
  machine.faults = {
    refuse: { code: Code.Unauthenticated, message: "no more tokens" },
    only: (path) => path.endsWith("/Authenticate"),
  };
  await createClient(EchoService, channel).echo({}).catch((error) => keeper.show("refused call", error));
});

keepsSecrets("an authentication server beside the machine", async ({ keeper, machine, options }) => {
  const externalAuth = { address: machine.address, toEntity: machine.address, insecure: true };
  const channel = await dial(machine.address, { ...options, externalAuth });
  await use(keeper, channel);
  await channel.close();
  for (const address of ["127.0.0.1:1", machine.address]) {
    const wrong = DialOptions.withApiKey(keeper.secret("a wrong key"), ID);
    await fails(
      keeper,
      dial(machine.address, {
        ...options,
        ...wrong,
        timeoutMs: 3_000,
        externalAuth: { ...externalAuth, address },
      }),
    );
  }
});

keepsSecrets("a server that repeats what it was given", async ({ keeper, machine, options, key }) => {
  for (const way of WAYS) {
    await fails(keeper, dial(machine.address, { ...options, ...way }));
    assert.ok(keeper.counts.value > 0 && key.length > 0);
  }
}, {
  routes: (router) =>
    router.service(AuthService, {
      authenticate({ credentials }) {
        const text = credentials?.payload ?? "";
        throw new ConnectError(`unknown key ${text}`, Code.Unauthenticated, { "x-key": text });
      },
    }),
});

test("no log line, event, error or inspection has a secret: TLS, with a key of the client's", async () => {
  const keeper = createSecretKeeper();
  const certificates = await makeCertificates();
  try {
    const { ca, cert, key } = certificates;
    const client = await certificates.issue({ client: true });
    // The secret of a PEM file is its content.
    for (const [index, line] of client.key.trim().split("\n").entries()) {
      if (!line.startsWith("-----")) keeper.guard(`line ${index} of the client's key`, line);
    }
    await using machine = await startMachine({ auth: "none", tls: { cert, key } });
    for (const way of WAYS) {
      const options: DialOptions = { ...way, ...keeper.ears };
      const tls = { ca, cert: client.cert, key: client.key };
      const channel = await dial(machine.address, { ...options, tls });
      await use(keeper, channel);
      await channel.close();
      keeper.showOptions("resolved", resolveDialOptions({ ...options, tls }));
      const { ca: _, ...untrusting } = tls;
      await fails(keeper, dial(machine.address, { ...options, tls: untrusting }));
      const broken = client.key.replace(/^[^-]/gm, "*");
      keeper.guard("a broken key", broken.split("\n")[1]!);
      // Not every runtime reads a key that no server asks for.
      await dial(machine.address, { ...options, tls: { ...tls, key: broken } }).then(
        (channel) => channel.close(),
        (error) => keeper.show("failed dial", error),
      );
    }
    assert.deepEqual([...new Set(keeper.leaks())], []);
  } finally {
    await certificates.remove();
  }
}, { timeoutMs: 60_000 });

keepsSecrets("TURN servers that cannot be reached", async ({ keeper, machine, options }) => {
  const credential = keeper.secret("the password of a TURN server");
  const iceServers = [{ urls: "turn:127.0.0.1:1?transport=udp", username: "me", credential }];
  for (
    const extra of [{}, { forceRelay: true }, { turnUri: "turn:127.0.0.1:1?transport=tcp", forceRelay: true }]
  ) {
    const webrtc = { iceServers, ...extra };
    keeper.showOptions("resolved", resolveDialOptions({ ...options, webrtc }));
    await dial(machine.address, { ...options, webrtc, timeoutMs: 1_500 }).then(async (channel) => {
      keeper.show("channel", channel);
      await channel.close();
    }, (error) => keeper.show("failed dial", error));
  }
});

keepsSecrets("secrets in the wrong places", async ({ keeper, machine, options, key }) => {
  const wrong: unknown[] = [
    { credentials: key },
    { credentials: [key] },
    { credentials: { type: "api-key", payload: [key] } },
    { credentials: { type: "api-key", payload: key } },
    { credentials: { type: "api-key", payload: key, password: key } },
    { accessToken: [key], credentials: { type: "robot-secret", payload: key } },
    { accessToken: key, credentials: { type: "robot-secret", payload: key } },
    { headers: key },
    { headers: { authorization: `Bearer ${key}\n` } },
    { headers: [["authorization", `Bearer ${key}`, key]] },
    { tls: key },
    { tls: { key, cert: "" } },
    { tls: { key: { pem: key } } },
    { externalAuth: key },
    { externalAuth: { address: `https://me:${key}@auth.example`, toEntity: "x" } },
    { webrtc: key },
    { webrtc: { iceServers: [{ urls: "nonsense", credential: key }] } },
    { webrtc: { iceServers: key } },
    { webrtc: { turnUri: `turn:me:${key}@turn.example`, turnPort: -1 } },
    { webrtc: { signalingAddress: `http://me:${key}@signal.example` } },
    key,
    [key],
  ];
  for (const given of wrong) {
    await fails(keeper, dial(machine.address, given as DialOptions));
    await fails(keeper, dialDirect(machine.address, given as DialOptions));
  }
  for (
    const address of [
      `http://me:${key}@robot.example`,
      `me:${key}@robot.example`,
      new URL(`https://me:${key}@r`),
    ]
  ) {
    await fails(keeper, dial(address, options));
  }
  for (
    const make of [
      () => DialOptions.withApiKey(ID, key),
      () => DialOptions.withApiKey("", key.replace("sesame-", "")),
    ]
  ) {
    try {
      make();
      assert.fail("it was taken");
    } catch (error) {
      keeper.show("withApiKey()", error);
    }
  }
  keeper.showOptions("given", DialOptions.withApiKey(key, ID, { timeoutMs: 5 }));
  keeper.showOptions("resolved", resolveDialOptions(options));
});

test("the keeper finds a secret in every form of output", () => {
  const keeper = createSecretKeeper();
  const secret = keeper.secret("it");
  keeper.show("a", "nothing");
  assert.deepEqual(keeper.leaks(), []);
  const hiding = new Error("outer", { cause: new Error(`inner ${secret}`) });
  const looks: unknown[] = [secret, { a: [{ b: secret }] }, hiding, btoa(secret), new Map([[1, secret]])];
  for (const [index, value] of looks.entries()) {
    const before = keeper.leaks().length;
    keeper.show(`look ${index}`, value);
    assert.ok(keeper.leaks().length > before, `look ${index}`);
  }
  keeper.ears.logger.info?.("x", { secret });
  keeper.ears.onEvent({ type: "connecting", address: secret });
  assert.match(keeper.leaks().join(), /it in line info.*it in event connecting/);
});
