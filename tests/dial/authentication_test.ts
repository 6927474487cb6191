/** Identity of a channel's calls: tokens are fetched, sent and replaced. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import {
  EchoService,
  type Machine,
  type MachineOptions,
  ProbeService,
  startMachine,
} from "../../lib/testing/mod.ts";
import {
  AuthenticationError,
  dial,
  dialDirect,
  DialError,
  DialOptions,
  InsecureConnectionError,
  type ViamChannel,
} from "../../mod.ts";
import { AuthService, ExternalAuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { includes, startRecorder } from "./recorder.ts";

const AUTHENTICATE = `/${AuthService.typeName}/Authenticate`;
const AUTHENTICATE_TO = `/${ExternalAuthService.typeName}/AuthenticateTo`;
const ECHO = `/${EchoService.typeName}/Echo`;

const DIRECT: readonly [name: string, options: DialOptions][] = [
  ["directly", { insecure: true, disableWebrtc: true }],
  ["directly, native gRPC", { insecure: true, disableWebrtc: true, protocol: "grpc" }],
];

const WAYS: typeof DIRECT = [...DIRECT, ["through signaling", { insecure: true }]];

/** Calls to a method, whichever way they came. */
function countOf(machine: Machine, path: string): number {
  const { webrtc, grpc, "grpc-web": grpcWeb, connect } = machine.callsTo(path);
  return webrtc + grpc + grpcWeb + connect;
}

async function echo(channel: ViamChannel, options: { timeoutMs?: number } = {}): Promise<void> {
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" }, options);
  assert.equal(message, "hello");
}

/** The error of a call that must fail. */
async function callError(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof ConnectError, `no ConnectError: ${error}`);
    return error;
  }
  assert.fail("the call succeeded");
}

/** Waits until something holds; the test's own bound ends a wait for what never does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(2);
}

function keyOf(machine: Machine): DialOptions {
  return DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
}

/** A machine with a key, and a channel to it. */
async function open(options: DialOptions, machineOptions: MachineOptions = {}) {
  const machine = await startMachine(machineOptions);
  try {
    const channel = await dial(machine.address, { ...options, ...keyOf(machine) });
    return {
      machine,
      channel,
      async [Symbol.asyncDispose]() {
        await channel.close();
        await machine.close();
      },
    };
  } catch (error) {
    await machine.close();
    throw error;
  }
}

for (const [name, way] of WAYS) {
  test(`credentials of every type are exchanged for a token, ${name}`, async () => {
    const keyId = crypto.randomUUID();
    await using machine = await startMachine({
      // One that signals by its address does so for any name.
      ...(way.disableWebrtc ? { hosts: ["robot.example"] } : {}),
      auth: {
        credentials: [
          { type: "api-key", entity: keyId, payload: "the-key" },
          { type: "robot-secret", payload: "the-robot-secret" },
          { type: "robot-location-secret", payload: "the-location-secret" },
        ],
      },
    });
    // A machine knows itself by its names; who gives none authenticates as the host as typed.
    const good: readonly DialOptions[] = [
      DialOptions.withApiKey("the-key", keyId),
      { credentials: { type: "robot-secret", payload: "the-robot-secret" } },
      { credentials: { type: "robot-location-secret", payload: "the-location-secret" } },
      {
        credentials: { type: "robot-location-secret", payload: "the-location-secret" },
        authEntity: "robot.example",
      },
    ];
    for (const options of good) {
      const before = countOf(machine, AUTHENTICATE);
      await using channel = await dial(machine.address, { ...way, ...options });
      await echo(channel);
      assert.equal(countOf(machine, AUTHENTICATE), before + 1);
    }
    const bad: readonly DialOptions[] = [
      DialOptions.withApiKey("another-key", keyId),
      DialOptions.withApiKey("the-key", crypto.randomUUID()),
      { credentials: { type: "robot-secret", payload: "the-location-secret" } },
      ...(way.disableWebrtc
        ? [{
          credentials: { type: "robot-secret", payload: "the-robot-secret" },
          authEntity: "another.example",
        }]
        : []),
    ];
    for (const options of bad) {
      const before = countOf(machine, AUTHENTICATE);
      await assert.rejects(dial(machine.address, { ...way, ...options }), AuthenticationError);
      assert.equal(countOf(machine, AUTHENTICATE), before + 1);
    }
    await assert.rejects(
      dial(machine.address, { ...way, credentials: { type: "of-a-new-kind", payload: "secret" } }),
      (error) => {
        assert.ok(error instanceof DialError && error.phase === "authenticate", String(error));
        assert.match(error.message, /do not know how to handle credential type "of-a-new-kind"/);
        return true;
      },
    );
  });

  test(`a token that no header can carry fails the dial, and is not shown, ${name}`, async () => {
    for (const accessToken of ["a-secret\nfrom-the-server", "a-secret-\u65e5", "a-secret\0"]) {
      await using machine = await startMachine({
        routes: (router) => router.service(AuthService, { authenticate: () => ({ accessToken }) }),
      });
      await assert.rejects(dial(machine.address, { ...way, ...keyOf(machine) }), (error) => {
        assert.ok(error instanceof DialError);
        assert.equal(error.phase, "authenticate");
        assert.match(error.message, /gave a token with characters that no header can carry/);
        assert.doesNotMatch(inspect(error), /a-secret/);
        return true;
      });
    }
  });

  test(`without credentials nothing is exchanged or sent, ${name}`, async () => {
    await using machine = await startMachine({ auth: "none" });
    await using channel = await dial(machine.address, way);
    const { metadata } = await createClient(ProbeService, channel).inspect({});
    assert.equal(metadata["authorization"], undefined);
    assert.equal(countOf(machine, AUTHENTICATE), 0);
  });

  test(`Authenticate carries no authorization, whatever the options say, ${name}`, async () => {
    // The machine refuses to authenticate who is authenticated already (protocol §2.5).
    await using opened = await open({ ...way, headers: { authorization: "Bearer of-the-options" } });
    await echo(opened.channel);
  });

  test(`accessToken is sent as it is, and nothing is exchanged, ${name}`, async () => {
    await using machine = await startMachine();
    const token = await tokenOf(machine);
    const before = countOf(machine, AUTHENTICATE);
    await using channel = await dial(machine.address, { ...way, accessToken: token });
    await echo(channel);
    assert.equal(countOf(machine, AUTHENTICATE), before);
    if (channel.kind === "webrtc") return;
    assert.equal(await sentBearer(channel), token);
    machine.revokeTokens();
    const calls = countOf(machine, ECHO);
    assert.equal((await callError(echo(channel))).code, Code.Unauthenticated);
    assert.equal(countOf(machine, ECHO), calls + 1, "a refused call is not repeated");
  });

  test(`externalAuth exchanges credentials elsewhere, and the machine never sees them, ${name}`, async () => {
    await using authority = await startMachine({
      auth: { credentials: [{ type: "api-key", entity: "me", payload: "the-key" }], externalAuth: true },
    });
    await using machine = await startMachine({ auth: { credentials: [], trusts: [authority] } });
    await using recorder = await startRecorder({ kind: "forward", port: machine.port });
    await using channel = await dial(recorder.address, {
      ...way,
      credentials: { type: "api-key", payload: "the-key" },
      authEntity: "me",
      externalAuth: { address: authority.address, toEntity: machine.address, insecure: true },
    });
    await echo(channel);
    assert.equal(countOf(authority, AUTHENTICATE), 1);
    assert.equal(countOf(authority, AUTHENTICATE_TO), 1);
    assert.equal(countOf(machine, AUTHENTICATE), 0);
    assert.equal(includes(recorder.received, "the-key"), false);
    if (channel.kind === "webrtc") return;
    // A token that was refused is renewed where it came from.
    authority.revokeTokens();
    assert.equal((await callError(echo(channel))).code, Code.Unauthenticated);
    await echo(channel);
    assert.equal(countOf(authority, AUTHENTICATE), 2);
    assert.equal(countOf(authority, AUTHENTICATE_TO), 2);
  });

  test(`externalAuth is reached with TLS, though the machine is not, ${name}`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    await using authority = await startMachine({
      tls: { cert, key },
      auth: {
        // Who gives no entity authenticates by the name of the server that it does so at.
        credentials: [{ type: "robot-secret", payload: "the-secret" }],
        externalAuth: true,
      },
      hosts: ["authority.example"],
    });
    await using machine = await startMachine({ auth: { credentials: [], trusts: [authority] } });
    const options: DialOptions = {
      ...way,
      credentials: { type: "robot-secret", payload: "the-secret" },
      externalAuth: { address: authority.address, toEntity: machine.address },
      tls: { ca },
    };
    {
      await using channel = await dial(machine.address, options);
      await echo(channel);
    }
    await using plain = await startMachine({
      auth: { credentials: [{ type: "robot-secret", payload: "the-secret" }], externalAuth: true },
    });
    await using recorder = await startRecorder({ kind: "forward", port: plain.port });
    await assert.rejects(
      dial(machine.address, {
        ...options,
        externalAuth: { address: recorder.address, toEntity: machine.address },
      }),
      (error) => error instanceof InsecureConnectionError && error.message.includes(recorder.address),
    );
    // What the machine may do without TLS is its own affair.
    await assert.rejects(
      dial(machine.address, {
        ...way,
        insecure: false,
        allowInsecureWithCredsDowngrade: true,
        credentials: { type: "robot-secret", payload: "the-secret" },
        externalAuth: { address: recorder.address, toEntity: machine.address },
      }),
      (error) => error instanceof InsecureConnectionError && error.message.includes(recorder.address),
    );
    assert.equal(includes(recorder.received, "the-secret"), false);
  });
}

for (const protocol of ["grpc-web", "grpc"] as const) {
  test(`a direct dial without credentials is refused where the machine wants some, ${protocol}`, async () => {
    await using machine = await startMachine();
    for (const start of [dial, dialDirect]) {
      await assert.rejects(
        start(machine.address, { insecure: true, disableWebrtc: true, protocol }),
        (error: unknown) => {
          assert.ok(error instanceof AuthenticationError);
          assert.equal(error.phase, "authenticate");
          assert.match(error.message, /wants credentials: .*\. Pass some, such as DialOptions\.withApiKey/);
          return true;
        },
      );
    }
  });
}

test("a direct dial without credentials succeeds if headers or interceptors may carry a token", async () => {
  await using machine = await startMachine();
  const authorization = `Bearer ${await tokenOf(machine)}`;
  const direct = { insecure: true, disableWebrtc: true } as const;
  for (
    const options of [
      { headers: { Authorization: authorization } },
      {
        interceptors: [
          ((next) => (request) => {
            request.header.set("authorization", authorization);
            return next(request);
          }) satisfies Interceptor,
        ],
      },
    ]
  ) {
    await using channel = await dial(machine.address, { ...direct, ...options });
    await createClient(ProbeService, channel).echo({});
  }
});

/** A token of the machine's. */
async function tokenOf(machine: Machine): Promise<string> {
  await using channel = await dial(machine.address, {
    insecure: true,
    disableWebrtc: true,
    interceptors: [(next) => next],
  });
  const { accessToken } = await createClient(AuthService, channel).authenticate({
    entity: machine.apiKeyId,
    credentials: { type: "api-key", payload: machine.apiKey },
  });
  return accessToken;
}

/** The token that a call arrives with; it must be the only one. */
async function sentBearer(channel: ViamChannel, headers: HeadersInit = {}): Promise<string> {
  const { metadata } = await createClient(ProbeService, channel).inspect({}, { headers });
  const { values } = metadata["authorization"]!;
  assert.equal(values.length, 1);
  return values[0]!.replace(/^Bearer /, "");
}

async function* oneMessage() {
  yield { data: Uint8Array.of(1) };
}

async function* noMessage(): AsyncGenerator<{ data: Uint8Array }> {}

for (const [name, way] of DIRECT) {
  test(`metadata of a call, of the options or of an interceptor never removes the token, ${name}`, async () => {
    await using opened = await open({
      ...way,
      headers: { authorization: "Bearer of-the-options", "x-mine": "1" },
      interceptors: [(next) => (request) => {
        request.header.set("authorization", "Bearer of-an-interceptor");
        return next(request);
      }],
    });
    const { channel } = opened;
    const token = await sentBearer(channel);
    assert.equal(token.split(".").length, 3);
    assert.equal(await sentBearer(channel, { "x-other": "2" }), token);
    assert.equal(await sentBearer(channel, { authorization: "Bearer of-the-call" }), token);
    assert.equal(await sentBearer(channel, { Authorization: "Basic of-the-call" }), token);
  });

  test(`calls to AuthService go without the token, ${name}`, async () => {
    await using opened = await open(way);
    const { channel, machine } = opened;
    const { accessToken } = await createClient(AuthService, channel).authenticate({
      entity: machine.apiKeyId,
      credentials: { type: "api-key", payload: machine.apiKey },
    });
    assert.notEqual(accessToken, "");
  });

  test(`a call refused as Unauthenticated is not repeated, and the calls after it share one renewal, ${name}`, async () => {
    await using opened = await open(way);
    const { channel, machine } = opened;
    for (let round = 1; round <= 3; round++) {
      machine.revokeTokens();
      const calls = countOf(machine, ECHO);
      const errors = await Promise.all(Array.from({ length: 20 }, () => callError(echo(channel))));
      assert.ok(errors.every(({ code }) => code === Code.Unauthenticated));
      assert.equal(countOf(machine, ECHO), calls + 20);
      await Promise.all(Array.from({ length: 20 }, () => echo(channel)));
      assert.equal(countOf(machine, AUTHENTICATE), 1 + round);
    }
  });

  test(`a handler that throws Unauthenticated runs once, whatever the kind of call, ${name}`, async () => {
    const runs = { echo: 0, upload: 0, download: 0, exchange: 0 };
    const refuse = (method: keyof typeof runs): never => {
      runs[method]++;
      throw new ConnectError("not you", Code.Unauthenticated);
    };
    await using opened = await open(way, {
      routes: (router) =>
        router.service(ProbeService, {
          echo: () => refuse("echo"),
          upload: () => refuse("upload"),
          download: () => refuse("download"),
          exchange: () => refuse("exchange"),
        }),
    });
    const { channel, machine } = opened;
    const probe = createClient(ProbeService, channel);
    const read = async (messages: AsyncIterable<unknown>) => {
      for await (const _ of messages);
    };
    const calls = [
      () => probe.echo({}),
      () => probe.upload(oneMessage()),
      () => read(probe.download({ size: 1, count: 1 })),
      () => read(probe.exchange(noMessage())),
    ];
    for (const call of calls) assert.equal((await callError(call())).code, Code.Unauthenticated);
    assert.deepEqual(runs, { echo: 1, upload: 1, download: 1, exchange: 1 });
    // Each may have been the gate's refusal: the call after it has a new token.
    assert.equal(countOf(machine, AUTHENTICATE), calls.length);
  });

  test(`the token is renewed for the first call after a lost connection, ${name}`, async () => {
    await using opened = await open(way);
    const { channel, machine } = opened;
    machine.faults = { silent: true, only: (path) => path === ECHO };
    const inFlight = callError(echo(channel));
    await until(() => countOf(machine, ECHO) === 1);
    machine.faults = {};
    machine.revokeTokens(); // as a restart does
    machine.dropConnections();
    assert.equal((await inFlight).code, Code.Unavailable);
    await echo(channel);
    assert.equal(countOf(machine, ECHO), 2);
    assert.equal(countOf(machine, AUTHENTICATE), 2);
  });

  test(`a renewal that is refused fails the call at once, and does not loop, ${name}`, async () => {
    await using opened = await open(way);
    const { channel, machine } = opened;
    machine.faults = { only: (path) => path === AUTHENTICATE, refuse: Code.Unauthenticated };
    machine.revokeTokens();
    assert.equal((await callError(echo(channel))).code, Code.Unauthenticated);
    const calls = countOf(machine, ECHO);
    for (let call = 1; call <= 3; call++) {
      assert.equal((await callError(echo(channel))).code, Code.Unauthenticated);
      assert.equal(countOf(machine, AUTHENTICATE), 1 + call, "one renewal a call");
    }
    const errors = await Promise.all(Array.from({ length: 10 }, () => callError(echo(channel))));
    assert.ok(errors.every(({ code }) => code === Code.Unauthenticated));
    assert.ok(countOf(machine, AUTHENTICATE) <= 4 + 10);
    assert.equal(countOf(machine, ECHO), calls, "no call went without a token");
    // The key is good again, and so is the channel.
    machine.faults = {};
    await echo(channel);
  });

  test(`a renewal that never comes holds a call no longer than its deadline, and close() ends it, ${name}`, async () => {
    await using opened = await open(way);
    const { channel, machine } = opened;
    machine.faults = { only: (path) => path === AUTHENTICATE, silent: true };
    machine.revokeTokens();
    assert.equal((await callError(echo(channel))).code, Code.Unauthenticated);
    assert.equal((await callError(echo(channel, { timeoutMs: 300 }))).code, Code.DeadlineExceeded);
    const waiting = callError(echo(channel));
    await until(() => countOf(machine, AUTHENTICATE) === 2);
    await channel.close();
    assert.equal((await waiting).code, Code.Unavailable);
  });
}

test("a token is renewed before it expires: no call is refused", async () => {
  const tokenLifetimeMs = 4_000;
  const auth = { credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload: "the-key" }] };
  await using opened = await open(DIRECT[0]![1], { auth: { ...auth, tokenLifetimeMs } });
  const { channel, machine } = opened;
  let calls = 0;
  const end = performance.now() + tokenLifetimeMs + 1_000;
  while (performance.now() < end) {
    await echo(channel);
    calls++;
    await delay(50);
  }
  assert.ok(countOf(machine, AUTHENTICATE) >= 2);
  assert.equal(countOf(machine, ECHO), calls, "every call went through once");
});

test("a token that is still good is used when no other can be had", async () => {
  const tokenLifetimeMs = 6_000;
  const auth = { credentials: [{ type: "api-key", entity: crypto.randomUUID(), payload: "the-key" }] };
  await using opened = await open(DIRECT[0]![1], { auth: { ...auth, tokenLifetimeMs } });
  const { channel, machine } = opened;
  machine.faults = { only: (path) => path === AUTHENTICATE, refuse: Code.Unavailable };
  const before = countOf(machine, AUTHENTICATE);
  await delay(tokenLifetimeMs * 0.75 + 50);
  await echo(channel);
  assert.equal(countOf(machine, AUTHENTICATE), before + 1);
});
