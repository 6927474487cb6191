/**
 * When a dial goes on without TLS, and what leaves before (protocol §2.7, the column of Python's direct dial), case by
 * case on real sockets, for the direct connection and for signaling alike. A recorder in front of every server keeps
 * every byte that the client has sent.
 */

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, type Machine, startMachine } from "../../lib/testing/mod.ts";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { dial, DialError, DialOptions, DialTimeoutError, InsecureConnectionError } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { type Behaviour, includes, isTls, type Recorder, startRecorder } from "./recorder.ts";

const AUTHENTICATE = `/${AuthService.typeName}/${AuthService.method.authenticate.name}`;

/** A dial that hears nothing is given up after this many milliseconds. */
const SILENCE_MS = 400;

const PATHS: readonly [name: string, options: DialOptions][] = [
  ["directly", { disableWebrtc: true }],
  ["through signaling", {}],
];

interface Flags {
  readonly insecure: boolean;
  readonly allowInsecureDowngrade: boolean;
  readonly allowInsecureWithCredsDowngrade: boolean;
}

const FLAGS: readonly Flags[] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({
  insecure: (bits & 4) !== 0,
  allowInsecureDowngrade: (bits & 2) !== 0,
  allowInsecureWithCredsDowngrade: (bits & 1) !== 0,
}));

const BOTH: Partial<Flags> = { allowInsecureDowngrade: true, allowInsecureWithCredsDowngrade: true };

/** The rules of protocol §2.7 for a server that speaks plaintext. */
function expectedOfPlaintext(flags: Flags, credentials: boolean): "connected" | "insecure" | "will not send" {
  if (flags.insecure) return "connected";
  const allowed = credentials ? flags.allowInsecureWithCredsDowngrade : flags.allowInsecureDowngrade;
  if (allowed) return "connected";
  return credentials ? "will not send" : "insecure";
}

/** A key with what is searched for in what a server has received. */
function keyOf(machine: Machine): DialOptions {
  return machine.apiKey === "" ? {} : DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
}

/** Dials, makes a call and closes; returns what the dial failed with. */
async function attempt(address: string, options: DialOptions): Promise<unknown> {
  try {
    await using channel = await dial(address, { maxReconnectAttempts: 0, ...options });
    const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
    assert.equal(message, "hello");
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Nothing but TLS has reached the server. */
function assertOnlyTls({ received }: Recorder, title: string): void {
  assert.ok(
    received.every(isTls),
    `${title}: not only TLS was sent: ${JSON.stringify(received.map(String))}`,
  );
}

function describe(flags: Partial<Flags>, credentials: boolean): string {
  const set = Object.entries(flags).filter(([, value]) => value).map(([name]) => name);
  return `${set.length === 0 ? "no flag" : set.join(", ")}, ${credentials ? "with" : "without"} credentials`;
}

for (const [path, way] of PATHS) {
  test(`dial() ${path} to a plaintext server follows the table of protocol §2.7, row by row`, async () => {
    for (const credentials of [false, true]) {
      await using machine = await startMachine(credentials ? {} : { auth: "none" });
      for (const flags of FLAGS) {
        await using recorder = await startRecorder({ kind: "forward", port: machine.port });
        const title = describe(flags, credentials);
        const before = machine.callsTo(AUTHENTICATE).grpc;
        const error = await attempt(recorder.address, { ...way, ...flags, ...keyOf(machine) });
        const expected = expectedOfPlaintext(flags, credentials);
        if (expected === "connected") {
          assert.equal(error, undefined, `${title}: ${error}`);
          assert.equal(includes(recorder.received, machine.apiKey), true, title);
        } else {
          assert.ok(error instanceof InsecureConnectionError, `${title}: ${error}`);
          assert.equal(error.authenticated, credentials, title);
          assert.equal(error.address, recorder.address, title);
          const text = `Requested address ${recorder.address} is insecure`;
          assert.ok(
            error.message.startsWith(credentials ? `${text} and will not send credentials` : `${text}.`),
            `${title}: ${error.message}`,
          );
          assertOnlyTls(recorder, title);
          assert.equal(machine.callsTo(AUTHENTICATE).grpc, before, title);
        }
      }
    }
  }, { timeoutMs: 120_000 });

  test(`dial() ${path} to a TLS server stays with TLS, whatever the flags`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    for (const credentials of [false, true]) {
      await using machine = await startMachine({
        tls: { cert, key },
        ...(credentials ? {} : { auth: "none" }),
      });
      for (const flags of FLAGS) {
        await using recorder = await startRecorder({ kind: "forward", port: machine.port });
        const title = describe(flags, credentials);
        const { insecure } = flags;
        const error = await attempt(recorder.address, {
          ...way,
          ...flags,
          ...keyOf(machine),
          ...(insecure ? {} : { tls: { ca } }),
        });
        if (insecure) {
          // Not silently upgraded: who asks for plaintext gets that, or nothing.
          assert.ok(error instanceof DialError, `${title}: ${error}`);
          // What the server is finds out first, and that carries no credentials.
          if (credentials) assert.equal(includes(recorder.received, machine.apiKey), false, title);
        } else {
          assert.equal(error, undefined, `${title}: ${error}`);
          assertOnlyTls(recorder, title);
        }
      }
    }
  }, { timeoutMs: 120_000 });

  test(`dial() ${path} never goes on after a certificate that is not trusted`, async () => {
    const authority = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: authority.remove };
    const other = await makeCertificates();
    await using _removedOther = { [Symbol.asyncDispose]: other.remove };
    const { ca } = authority;
    const cases: readonly [name: string, served: { cert: string; key: string }, ca: string | undefined][] = [
      ["an authority that is not the system's", authority, undefined],
      ["another authority", other, ca],
      ["expired", await authority.issue({ expired: true }), ca],
      ["for another name", await authority.issue({ names: ["another.example"] }), ca],
      ["for clients", await authority.issue({ client: true }), ca],
    ];
    for (const [name, { cert, key }, trusted] of cases) {
      await using machine = await startMachine({ tls: { cert, key } });
      for (const flags of [{}, BOTH]) {
        for (const protocol of ["auto", "grpc"] as const) {
          await using recorder = await startRecorder({ kind: "forward", port: machine.port });
          const title = `${name}, ${describe(flags, true)}, ${protocol}`;
          const error = await attempt(recorder.address, {
            ...way,
            ...flags,
            ...keyOf(machine),
            protocol,
            ...(trusted === undefined ? {} : { tls: { ca: trusted } }),
          });
          assert.ok(error instanceof DialError, `${title}: ${error}`);
          assert.ok(!(error instanceof InsecureConnectionError), `${title}: ${error}`);
          assert.match(error.message, /certificate/i, title);
          assertOnlyTls(recorder, title);
          assert.deepEqual(machine.calls, { webrtc: 0, grpc: 0, "grpc-web": 0, connect: 0 }, title);
        }
      }
    }
  }, { timeoutMs: 120_000 });

  test(`dial() ${path} takes refusals, resets, silence and early ends for no plaintext`, async () => {
    const machine = { apiKey: "a-key-that-must-not-leave", apiKeyId: crypto.randomUUID() };
    for (const kind of ["reset", "end", "silent"] as const) {
      for (const protocol of ["auto", "grpc"] as const) {
        await using recorder = await startRecorder({ kind });
        const title = `${kind}, ${protocol}`;
        const error = await attempt(recorder.address, {
          ...way,
          ...BOTH,
          ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
          protocol,
          ...(kind === "silent" ? { timeoutMs: SILENCE_MS } : {}),
        });
        assert.ok(error instanceof DialError, `${title}: ${error}`);
        assert.ok(!(error instanceof InsecureConnectionError), `${title}: ${error}`);
        assert.equal(error instanceof DialTimeoutError, kind === "silent", `${title}: ${error}`);
        assertOnlyTls(recorder, title);
        assert.ok(recorder.received.length > 0, title);
      }
    }
    await using closed = await startRecorder({ kind: "silent" });
    await closed[Symbol.asyncDispose]();
    const error = await attempt(closed.address, { ...way, ...BOTH });
    assert.ok(error instanceof DialError && !(error instanceof InsecureConnectionError), String(error));
    assert.match(error.message, /refused/);
  }, { timeoutMs: 60_000 });

  test(`dial() ${path} sends no credentials to a server that speaks another protocol`, async () => {
    const key = "a-key-that-must-not-leave";
    const others: readonly [name: string, behaviour: Behaviour][] = [
      ["SSH", { kind: "greet", bytes: "SSH-2.0-OpenSSH_9.6\r\n" }],
      ["SMTP", { kind: "greet", bytes: "220 mail.example ESMTP\r\n" }],
      ["HTTP/1.1 that refuses", {
        kind: "answer",
        bytes: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      }],
      ["HTTP/1.1 that points elsewhere", {
        kind: "answer",
        bytes:
          "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
      }],
      ["HTTP/1.1 that says yes to everything", {
        kind: "answer",
        bytes: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok",
      }],
    ];
    for (const [name, behaviour] of others) {
      for (const protocol of ["auto", "grpc"] as const) {
        for (const flags of [{}, BOTH, { insecure: true }]) {
          await using recorder = await startRecorder(behaviour);
          const title = `${name}, ${protocol}, ${describe(flags, true)}`;
          const error = await attempt(recorder.address, {
            ...way,
            ...flags,
            ...DialOptions.withApiKey(key, crypto.randomUUID()),
            protocol,
            timeoutMs: SILENCE_MS,
          });
          assert.ok(error instanceof DialError, `${title}: ${error}`);
          assert.equal(
            error instanceof InsecureConnectionError,
            flags !== BOTH && !("insecure" in flags),
            `${title}: ${error}`,
          );
          assert.equal(includes(recorder.received, key), false, title);
          assert.equal(includes(recorder.received, "Authenticate"), false, title);
          if (error instanceof InsecureConnectionError) assertOnlyTls(recorder, title);
        }
      }
    }
  }, { timeoutMs: 120_000 });

  test(`dial() ${path} takes a TLS server of HTTP/1.1 only for what it is`, async () => {
    const { ca, cert, key, remove } = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: remove };
    await using machine = await startMachine();
    await using server = await startRecorder({ kind: "forward", port: machine.port }, {
      tls: { cert, key, ALPNProtocols: ["http/1.1"] },
    });
    for (const flags of [{}, BOTH]) {
      for (const protocol of ["auto", "grpc"] as const) {
        await using recorder = await startRecorder({ kind: "forward", port: server.port });
        const error = await attempt(recorder.address, {
          ...way,
          ...flags,
          ...keyOf(machine),
          protocol,
          tls: { ca },
        });
        assert.ok(!(error instanceof InsecureConnectionError), String(error));
        assertOnlyTls(recorder, `${protocol}, ${describe(flags, true)}`);
        // gRPC-Web needs no HTTP/2, native gRPC does.
        if (way.disableWebrtc) assert.equal(error === undefined, protocol === "auto", String(error));
        else if (protocol === "grpc") assert.ok(error instanceof DialError, String(error));
      }
    }
    assert.equal(includes(server.received, machine.apiKey), true, "gRPC-Web took its way, inside TLS");
  }, { timeoutMs: 60_000 });

  test(
    `dial() ${path} sends no credentials to a server without gRPC whose certificate proves nothing`,
    async () => {
      const { cert, key, remove } = await makeCertificates();
      await using _removed = { [Symbol.asyncDispose]: remove };
      const secret = "a-key-that-must-not-leave";
      for (const protocol of ["auto", "grpc"] as const) {
        await using server = await startRecorder({ kind: "answer", bytes: "220 mail.example ESMTP\r\n" }, {
          tls: { cert, key, ALPNProtocols: ["h2", "http/1.1"] },
        });
        await using recorder = await startRecorder({ kind: "forward", port: server.port });
        const error = await attempt(recorder.address, {
          ...way,
          ...BOTH,
          ...DialOptions.withApiKey(secret, crypto.randomUUID()),
          protocol,
          tls: { rejectUnauthorized: false },
          timeoutMs: SILENCE_MS,
        });
        assert.ok(error instanceof DialError && !(error instanceof InsecureConnectionError), String(error));
        assertOnlyTls(recorder, protocol);
        assert.equal(includes(server.received, secret), false, protocol);
      }
    },
    { timeoutMs: 60_000 },
  );
}

test("a token that is there already does not leave either before the rule allows it", async () => {
  await using machine = await startMachine({ auth: "none" });
  for (const [path, way] of PATHS) {
    for (const flags of FLAGS) {
      await using recorder = await startRecorder({ kind: "forward", port: machine.port });
      const title = `${path}, ${describe(flags, true)}`;
      const error = await attempt(recorder.address, { ...way, ...flags, accessToken: "a-token-of-mine" });
      if (expectedOfPlaintext(flags, true) === "connected") {
        assert.equal(error, undefined, `${title}: ${error}`);
      } else {
        assert.ok(error instanceof InsecureConnectionError && error.authenticated, `${title}: ${error}`);
        assertOnlyTls(recorder, title);
      }
    }
  }
}, { timeoutMs: 60_000 });
