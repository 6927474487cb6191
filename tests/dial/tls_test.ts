/** Dials with `tls` options, directly and through signaling, whatever carries the calls. */

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, startMachine } from "../../lib/testing/mod.ts";
import { dial, DialError, DialOptions, type TlsOptions } from "../../mod.ts";
import { type Certificates, makeCertificates, makeSelfSigned } from "../certificates.ts";
import { test } from "../harness.ts";
import { isTls, startRecorder } from "./recorder.ts";

const WAYS: readonly [name: string, options: DialOptions][] = [
  ["directly", { disableWebrtc: true }],
  ["directly, native gRPC", { disableWebrtc: true, protocol: "grpc" }],
  ["through signaling", {}],
  ["through signaling, native gRPC", { protocol: "grpc" }],
];

async function call(address: string, options: DialOptions): Promise<void> {
  await using channel = await dial(address, options);
  const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
  assert.equal(message, "hello");
}

async function assertFails(address: string, options: DialOptions, message: RegExp): Promise<void> {
  await assert.rejects(call(address, options), (error) => {
    assert.ok(error instanceof DialError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** Makes an authority for one test. */
async function authority(names?: readonly string[]): Promise<Certificates & AsyncDisposable> {
  const made = await makeCertificates(names === undefined ? {} : { names });
  return { ...made, [Symbol.asyncDispose]: made.remove };
}

for (const [name, way] of WAYS) {
  test(`a server that speaks TLS is named, and what to remove, where the dial goes without, ${name}`, async () => {
    await using certificates = await authority();
    await using machine = await startMachine({ auth: "none", tls: certificates });
    const message =
      /the server speaks TLS: 127\.0\.0\.1:\d+ .*\. Remove insecure, or http:\/\/ from the address$/;
    await assertFails(machine.address, { ...way, insecure: true }, message);
    await assertFails(`http://${machine.address}`, way, message);
  });

  test(`tls.ca is trusted, one or one of several, ${name}`, async () => {
    await using certificates = await authority();
    await using other = await authority();
    await using machine = await startMachine({ tls: certificates });
    const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
    for (const ca of [certificates.ca, [certificates.ca], [other.ca, certificates.ca]]) {
      await call(machine.address, { ...way, ...key, tls: { ca } });
    }
    for (const tls of [{}, { ca: other.ca }, { ca: [other.ca] }]) {
      await assertFails(machine.address, { ...way, ...key, tls }, /certificate not trusted/);
    }
  });

  test(`a certificate that is its own authority is trusted where tls.ca names it, ${name}`, async () => {
    const own = await makeSelfSigned(["127.0.0.1"]);
    const foreign = await makeSelfSigned(["machine.example"]);
    await using machine = await startMachine({ tls: own });
    await using other = await startMachine({ tls: foreign });
    const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
    await call(machine.address, { ...way, ...key, tls: { ca: own.cert } });
    for (const ca of [undefined, foreign.cert]) {
      const tls = ca === undefined ? {} : { ca };
      await assertFails(machine.address, { ...way, ...key, tls }, /certificate not trusted/);
    }
    const otherKey = DialOptions.withApiKey(other.apiKey, other.apiKeyId);
    const tls = { ca: foreign.cert };
    await assertFails(other.address, { ...way, ...otherKey, tls }, /certificate not trusted/);
  });

  test(`tls.cert and tls.key are shown to a server that asks for a client certificate, ${name}`, async () => {
    await using certificates = await authority();
    await using other = await authority();
    const { ca } = certificates;
    const good = await certificates.issue({ client: true, names: ["client"] });
    const bad = await other.issue({ client: true, names: ["client"] });
    await using machine = await startMachine({
      tls: { ...certificates, requestCertificate: true },
      auth: "none",
    });
    await call(machine.address, { ...way, tls: { ca, ...good } });
    // No later than at the dial, even without credentials.
    for (const tls of [{ ca }, { ca, ...bad }]) {
      await assert.rejects(dial(machine.address, { ...way, tls }), DialError);
    }
  });

  test(`tls.serverName is asked for and verified instead of the host, ${name}`, async () => {
    await using certificates = await authority(["machine.example"]);
    const { ca } = certificates;
    await using machine = await startMachine({ tls: certificates });
    const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
    {
      await using recorder = await startRecorder({ kind: "forward", port: machine.port });
      await call(recorder.address, { ...way, ...key, tls: { ca, serverName: "machine.example" } });
      assert.ok(recorder.received.every((bytes) => bytes.includes("machine.example") && isTls(bytes)));
    }
    for (const tls of [{ ca }, { ca, serverName: "another.example" }] satisfies TlsOptions[]) {
      await assertFails(machine.address, { ...way, ...key, tls }, /certificate not trusted/);
    }
  });

  test(`authEntity of a machine's credentials is the name to verify, ${name}`, async () => {
    await using certificates = await authority(["machine.example"]);
    const { ca } = certificates;
    const type = "robot-location-secret", payload = "a-location-secret";
    await using machine = await startMachine({
      tls: certificates,
      auth: { credentials: [{ type, payload }] },
    });
    const options: DialOptions = { ...way, credentials: { type, payload }, tls: { ca } };
    for (const authEntity of ["machine.example", "machine.example:8080"]) {
      await call(machine.address, { ...options, authEntity });
    }
    for (const authEntity of ["another.example", undefined]) {
      await assertFails(
        machine.address,
        { ...options, ...(authEntity === undefined ? {} : { authEntity }) },
        /certificate not trusted/,
      );
    }
    // What `tls` says goes before.
    await call(machine.address, {
      ...options,
      authEntity: "another.example",
      tls: { ca, serverName: "machine.example" },
    });
  });

  test(`tls.rejectUnauthorized false takes any certificate, ${name}`, async () => {
    await using certificates = await authority();
    const expired = await certificates.issue({ names: ["another.example"], expired: true });
    for (const served of [certificates, expired]) {
      await using machine = await startMachine({ tls: served });
      const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
      await call(machine.address, { ...way, ...key, tls: { rejectUnauthorized: false } });
      await assertFails(machine.address, { ...way, ...key, tls: {} }, /certificate not trusted/);
    }
  });

  test(`tls.minVersion TLSv1.3 works, and refuses a server that has no more than TLSv1.2, ${name}`, async () => {
    await using certificates = await authority();
    const { ca } = certificates;
    await using machine = await startMachine({ tls: certificates });
    const key = DialOptions.withApiKey(machine.apiKey, machine.apiKeyId);
    await call(machine.address, { ...way, ...key, tls: { ca, minVersion: "TLSv1.3" } });
    const { cert, key: privateKey } = certificates;
    await using plain = await startMachine();
    await using old = await startRecorder({ kind: "forward", port: plain.port }, {
      tls: { cert, key: privateKey, maxVersion: "TLSv1.2", ALPNProtocols: ["h2", "http/1.1"] },
    });
    const plainKey = DialOptions.withApiKey(plain.apiKey, plain.apiKeyId);
    await call(old.address, { ...way, ...plainKey, tls: { ca } });
    await assertFails(old.address, { ...way, ...plainKey, tls: { ca, minVersion: "TLSv1.3" } }, /TLS failed/);
  });
}
