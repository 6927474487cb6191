import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createClient } from "@connectrpc/connect";
import { EchoService, ProbeService, startMachine } from "../../lib/testing/mod.ts";
import {
  type ChannelEvent,
  dial,
  DialError,
  DialOptions,
  DialOptionsError,
  DialTimeoutError,
  InsecureConnectionError,
  resolveDialOptions,
} from "../../mod.ts";
import { test } from "../harness.ts";
import {
  AUTHENTICATE,
  CALL,
  callsTo,
  CONFIG,
  failureOf,
  optionsFor,
  startRegistrar,
  startSecureMachine,
  WAYS,
} from "./robots.ts";

const ID = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";

test("row 11: DialOptions are all optional and never changed; everything wrong with them is listed", async () => {
  await using machine = await startMachine({ auth: "none" });
  const options: DialOptions = Object.freeze({
    insecure: true,
    webrtc: Object.freeze({}),
    tls: Object.freeze({}),
  });
  await (await dial(machine.address, options)).close();
  assert.deepEqual(options, { insecure: true, webrtc: {}, tls: {} });
  assert.ok(Object.isFrozen(resolveDialOptions()));
  const wrong = { timeoutMs: "20", disable_webrtc: true, mdns: 1 } as unknown as DialOptions;
  const error = await failureOf(dial(machine.address, wrong));
  assert.ok(error instanceof DialOptionsError);
  assert.deepEqual(error.problems.map(({ option }) => option), ["timeoutMs", "mdns", "disable_webrtc"]);
  assert.match(error.message, /did you mean disableWebrtc\?/);
});

test("row 12: disableWebrtc dials directly, without any signaling; by default it is off", async () => {
  await using machine = await startMachine();
  await using direct = await dial(machine.address, { ...optionsFor(machine), disableWebrtc: true });
  assert.equal(direct.kind, "direct");
  assert.deepEqual([callsTo(machine, CONFIG), callsTo(machine, CALL)], [0, 0]);
  await using channel = await dial(machine.address, optionsFor(machine));
  assert.equal(channel.kind, "webrtc");
  assert.ok(callsTo(machine, CALL) > 0);
});

test("row 13: authEntity is the host as typed by default, and names the certificate unless it is the id of a key", async () => {
  const { machine, callers } = await startRegistrar();
  await using _ = machine;
  const credentials = { type: "robot-secret", payload: "s3cret" };
  for (const [, way] of WAYS) {
    await (await dial(`http://${machine.address}`, { ...way, credentials })).close();
    await (await dial(machine.address, { ...way, insecure: true, credentials, authEntity: "robot.example" }))
      .close();
  }
  const entities = [machine.address, "robot.example"];
  assert.deepEqual(callers.map(({ entity }) => entity), [...entities, ...entities]);

  const { machine: named, ca } = await startSecureMachine(
    {
      auth: {
        credentials: [{ ...credentials, entity: "robot.example" }, {
          type: "api-key",
          payload: "k",
          entity: ID,
        }],
      },
    },
    ["robot.example"],
  );
  await using _named = named;
  const options: DialOptions = { disableWebrtc: true, tls: { ca } };
  await (await dial(named.address, { ...options, credentials, authEntity: "robot.example" })).close();
  const key = await failureOf(dial(named.address, { ...options, ...DialOptions.withApiKey("k", ID) }));
  assert.ok(key instanceof DialError);
  assert.match(key.message, /certificate|TLS/);
  await (await dial(named.address, {
    ...DialOptions.withApiKey("k", ID),
    disableWebrtc: true,
    tls: { ca, serverName: "robot.example" },
  })).close();
});

test("row 14: without credentials nobody authenticates and no call has a token; with them signaling has one, too", async () => {
  await using open = await startMachine({ auth: "none" });
  for (const [kind, way] of WAYS) {
    await using channel = await dial(open.address, { ...way, insecure: true });
    const { metadata } = await createClient(ProbeService, channel).inspect({});
    assert.equal(metadata["authorization"], undefined, kind);
  }
  assert.equal(callsTo(open, AUTHENTICATE), 0);
  await using machine = await startMachine(); // refuses signaling without a token
  await (await dial(machine.address, optionsFor(machine))).close();
  assert.equal(callsTo(machine, AUTHENTICATE), 1);
});

test(
  "row 15: insecure goes without TLS and is never upgraded; TLS never becomes plaintext; 80 and 443 are the ports",
  async () => {
    await using plain = await startMachine({ auth: "none" });
    const { machine: secure, ca } = await startSecureMachine({ auth: "none" });
    await using _ = secure;
    for (const [kind, way] of WAYS) {
      assert.equal((await closed(dial(plain.address, { ...way, insecure: true }))).kind, kind);
      assert.equal((await closed(dial(secure.address, { ...way, tls: { ca } }))).kind, kind);
      assert.ok(await failureOf(dial(plain.address, way)) instanceof InsecureConnectionError);
      const upgraded = await failureOf(dial(secure.address, { ...way, insecure: true, timeoutMs: 1_000 }));
      assert.ok(upgraded instanceof DialError);
      for (const [options, port] of [[{ insecure: true }, 80], [{}, 443]] as const) {
        // A loopback address that nobody listens on.
        const error = await failureOf(dial("127.83.41.7", { ...way, ...options, timeoutMs: 3_000 }));
        assert.ok(error instanceof DialError);
        assert.equal(error.attempts[0]!.target, `127.83.41.7:${port}`);
      }
    }
  },
  { timeoutMs: 60_000 },
);

async function closed<T extends { close(): Promise<void> }>(dialing: Promise<T>): Promise<T> {
  const channel = await dialing;
  await channel.close();
  return channel;
}

test("row 16: allowInsecureDowngrade permits plaintext without credentials only", async () => {
  await using machine = await startMachine();
  await using open = await startMachine({ auth: "none" });
  for (const [kind, way] of WAYS) {
    const options: DialOptions = { ...way, allowInsecureDowngrade: true };
    assert.equal((await closed(dial(open.address, options))).kind, kind);
    const { apiKey, apiKeyId } = machine;
    const error = await failureOf(
      dial(machine.address, { ...options, ...DialOptions.withApiKey(apiKey, apiKeyId) }),
    );
    assert.ok(error instanceof InsecureConnectionError);
  }
  assert.equal(callsTo(machine, AUTHENTICATE), 0);
});

test("row 17: allowInsecureWithCredsDowngrade permits plaintext with credentials, with a warning, and not without", async () => {
  await using machine = await startMachine();
  const { address, apiKey, apiKeyId } = machine;
  for (const [kind, way] of WAYS) {
    const warnings: string[] = [];
    const options: DialOptions = {
      ...way,
      allowInsecureWithCredsDowngrade: true,
      logger: { warn: (message) => warnings.push(message) },
    };
    assert.equal(
      (await closed(dial(address, { ...options, ...DialOptions.withApiKey(apiKey, apiKeyId) }))).kind,
      kind,
    );
    assert.ok(warnings.some((message) => /sending credentials/.test(message)), warnings.join());
    assert.ok(await failureOf(dial(address, options)) instanceof InsecureConnectionError);
  }
});

test(
  "row 18: only an answer that is no TLS counts as plaintext: no refusal, reset, silence or bad certificate",
  async () => {
    const received: Buffer[] = [];
    const behaviours: Record<string, (socket: Socket) => void> = {
      reset: (socket) => socket.once("data", () => socket.resetAndDestroy()),
      silence: (socket) => socket.resume(),
    };
    const options: DialOptions = { disableWebrtc: true, allowInsecureDowngrade: true, timeoutMs: 2_000 };
    for (const behave of Object.values(behaviours)) {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on("error", () => {}).on("data", (bytes: Buffer) => received.push(bytes));
        behave(socket);
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      try {
        const error = await failureOf(dial(`127.0.0.1:${port}`, options));
        assert.ok(error instanceof DialError && !(error instanceof InsecureConnectionError), String(error));
      } finally {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      }
    }
    assert.ok(received.length > 0);
    for (const bytes of received) assert.equal(bytes[0], 0x16, "something but a TLS handshake was sent");
    const { machine } = await startSecureMachine({ auth: "none" });
    await using _ = machine;
    const untrusted = await failureOf(dial(machine.address, options));
    assert.ok(untrusted instanceof DialError && !(untrusted instanceof InsecureConnectionError));
  },
  { timeoutMs: 60_000 },
);

test("row 19: InsecureConnectionError says of which address, and whether credentials were there", async () => {
  await using machine = await startMachine();
  const { address, apiKey, apiKeyId } = machine;
  const cases = [
    [{}, false, `Requested address ${address} is insecure. `],
    [
      DialOptions.withApiKey(apiKey, apiKeyId),
      true,
      `Requested address ${address} is insecure and will not send credentials. `,
    ],
  ] as const;
  for (const [options, authenticated, text] of cases) {
    const error = await failureOf(dial(address, options));
    assert.ok(error instanceof InsecureConnectionError && error instanceof DialError);
    assert.deepEqual([error.address, error.authenticated], [address, authenticated]);
    assert.ok(error.message.startsWith(text), error.message);
  }
});

test(
  "row 20: maxReconnectAttempts is 3 an outage, 0 for none, Infinity for no end; then the channel is closed, and the process lives",
  async () => {
    assert.equal(resolveDialOptions({ maxReconnectAttempts: Infinity }).maxReconnectAttempts, Infinity);
    for (const [options, attempts] of [[{}, 3], [{ maxReconnectAttempts: 0 }, 0]] as const) {
      await using machine = await startMachine();
      const channel = await dial(machine.address, { ...optionsFor(machine), ...options });
      const events = channel.events();
      machine.faults = { signaling: { noConfig: true } }; // ends each attempt at once
      machine.dropConnections();
      const seen = await Array.fromAsync(events);
      const numbers = (type: ChannelEvent["type"]) =>
        seen.flatMap((event) => event.type === type && "attempt" in event ? [event.attempt] : []);
      const expected = Array.from({ length: attempts }, (_, index) => index + 1);
      assert.deepEqual(numbers("reconnecting"), expected);
      assert.deepEqual(numbers("reconnectfailed"), expected);
      assert.equal(seen.at(-1)?.type, "closed");
      assert.ok(await channel.closed instanceof Error);
      assert.equal(channel.state, "closed");
      await channel.close();
    }
  },
  { timeoutMs: 90_000 },
);

test(
  "row 21: timeoutMs bounds the whole dial and each reconnect, 20 s by default, 0 or Infinity for none",
  async () => {
    assert.equal(resolveDialOptions().timeoutMs, 20_000);
    for (const timeoutMs of [0, Infinity]) {
      assert.equal(
        resolveDialOptions({ timeoutMs }).timeoutMs,
        Infinity,
      );
    }
    await using machine = await startMachine();
    machine.faults = { silent: true };
    for (const [, way] of WAYS) {
      const error = await failureOf(
        dial(machine.address, { ...optionsFor(machine), ...way, timeoutMs: 300 }),
      );
      assert.ok(error instanceof DialTimeoutError);
      assert.match(error.message, /within 300 ms: .* in phase "connect"/);
    }
    machine.faults = {};
    await using channel = await dial(machine.address, {
      ...optionsFor(machine),
      timeoutMs: 3_000,
      maxReconnectAttempts: 1,
    });
    machine.faults = { silent: true };
    machine.dropConnections();
    assert.match(String(await channel.closed), /3000 ms|too long|time/i);
  },
  { timeoutMs: 60_000 },
);

test(
  "row 22: the default of 20 s leaves room for a second offer after a signaling server has ended one at 10 s",
  async () => {
    await using machine = await startMachine({ faults: { signaling: { neverAnswer: true } } });
    const started = performance.now();
    const error = await failureOf(dial(machine.address, optionsFor(machine)));
    const took = performance.now() - started;
    assert.ok(error instanceof DialError);
    assert.ok(took < resolveDialOptions().timeoutMs, `${took} ms`);
    assert.equal(error.phase, "signaling");
  },
  { timeoutMs: 60_000 },
);

test("row 23: withApiKey() takes the key, then its id, then anything else", async () => {
  assert.equal(typeof DialOptions.withApiKey, "function");
  const { machine, callers } = await startRegistrar();
  await using _ = machine;
  const options = DialOptions.withApiKey("the-key", ID, { insecure: true });
  assert.deepEqual({ ...options }, {
    credentials: { type: "api-key", payload: "the-key" },
    authEntity: ID,
    insecure: true,
  });
  await (await dial(machine.address, options)).close();
  assert.deepEqual(callers, [{ entity: ID, type: "api-key", payload: "the-key" }]);
});

test("row 24: withApiKey() refuses an empty key", () => {
  for (const key of ["", undefined, 5]) {
    assert.throws(() => DialOptions.withApiKey(key as string, ID), (error: unknown) => {
      assert.ok(error instanceof DialOptionsError);
      assert.deepEqual(error.problems.map(({ option }) => option), ["apiKey"]);
      return true;
    });
  }
});

test("row 25: withApiKey() takes every spelling of a UUID that Python takes, and sends it unchanged", async () => {
  const { machine, callers } = await startRegistrar();
  await using _ = machine;
  const ids = [ID, ID.toUpperCase(), `{${ID}}`, `urn:uuid:${ID}`, ID.replaceAll("-", "")];
  for (const id of ids) {
    await (await dial(
      machine.address,
      DialOptions.withApiKey("k", id, { insecure: true, disableWebrtc: true }),
    )).close();
  }
  assert.deepEqual(callers.map(({ entity }) => entity), ids);
});

test("row 26: withApiKey() throws at once when the id is no UUID, as a TypeError that says so", () => {
  for (const id of ["", "robot.example", ID.slice(1), `${ID}0`]) {
    assert.throws(() => DialOptions.withApiKey("k", id), (error: unknown) => {
      assert.ok(error instanceof DialOptionsError && error instanceof TypeError);
      assert.ok(error.message.startsWith(`${id} is not a valid UUID`), error.message);
      return true;
    });
  }
});

test("row 27: withApiKey() returns frozen options, for spreading", async () => {
  await using machine = await startMachine();
  const options = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
  assert.ok(Object.isFrozen(options) && Object.isFrozen(options.credentials));
  await (await dial(machine.address, { ...options, insecure: true, timeoutMs: 10_000 })).close();
});

test("row 28: initialAttempts and webrtc are extras, which change no default", async () => {
  const { initialAttempts, webrtc } = resolveDialOptions();
  assert.deepEqual([initialAttempts, webrtc], [1, {}]);
  await using machine = await startMachine({ faults: { signaling: { rejectOffers: "not now" } } });
  for (const [options, attempts] of [[{}, 1], [{ initialAttempts: 2 }, 2]] as const) {
    const error = await failureOf(dial(machine.address, { ...optionsFor(machine), ...options }));
    assert.ok(error instanceof DialError);
    assert.equal(error.attempts.length, attempts);
  }
  machine.faults = {};
  await (await dial(machine.address, {
    ...optionsFor(machine),
    webrtc: { signalingAddress: machine.address, signalingInsecure: true, forceP2P: true, iceServers: [] },
  })).close();
});

test("row 29: signal aborts a dial with its own reason, and later reconnects", async () => {
  await using machine = await startMachine();
  const reason = new RangeError("the user has left");
  assert.equal(
    await failureOf(dial(machine.address, { ...optionsFor(machine), signal: AbortSignal.abort(reason) })),
    reason,
  );
  machine.faults = { silent: true };
  for (const [, way] of WAYS) {
    const stop = new AbortController();
    const failed = failureOf(dial(machine.address, { ...optionsFor(machine), ...way, signal: stop.signal }));
    setTimeout(() => stop.abort(reason), 50);
    assert.equal(await failed, reason);
  }
  machine.faults = {};
  const stop = new AbortController();
  await using channel = await dial(machine.address, {
    ...optionsFor(machine),
    signal: stop.signal,
    maxReconnectAttempts: 1_000,
    timeoutMs: 0,
  });
  assert.equal((await createClient(EchoService, channel).echo({ message: "x" })).message, "x");
  machine.faults = { silent: true };
  const events = channel.events();
  machine.dropConnections();
  for await (const { type } of events) {
    if (type === "reconnecting") stop.abort(reason);
  }
  assert.ok(await channel.closed instanceof Error);
}, { timeoutMs: 60_000 });
