import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type AcceptedCredentials, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticationError,
  type Credentials,
  type CredentialType,
  dial,
  DialOptions,
  DialOptionsError,
  resolveDialOptions,
} from "../../mod.ts";
import { test } from "../harness.ts";
import { failureOf, startRegistrar } from "./robots.ts";

/** Dials a machine that accepts `accepted`. */
async function dialWith(
  accepted: AcceptedCredentials,
  credentials: Credentials,
  authEntity?: string,
): Promise<void> {
  await using machine = await startMachine({ auth: { credentials: [accepted] } });
  await using channel = await dial(machine.address, {
    insecure: true,
    credentials,
    ...(authEntity === undefined ? {} : { authEntity }),
  });
  assert.equal(channel.state, "connected");
}

test("row 5: Credentials are any object with a type and a payload, neither of them empty", async () => {
  class Secret implements Credentials {
    readonly type = "robot-secret";
    readonly payload = "s3cret";
  }
  const accepted = { type: "robot-secret", payload: "s3cret" };
  await dialWith(accepted, { type: "robot-secret", payload: "s3cret" });
  await dialWith(accepted, Object.freeze(new Secret()));
  for (const credentials of [{ type: "", payload: "s3cret" }, { type: "robot-secret", payload: "" }]) {
    const error = await failureOf(dial("robot.example", { credentials }));
    assert.ok(error instanceof DialOptionsError);
    assert.match(error.problems[0]!.option, /^credentials\.(?:type|payload)$/);
  }
});

test("row 6: CredentialType knows the three types, and is open for those of a server", async () => {
  const known: readonly CredentialType[] = ["robot-location-secret", "robot-secret", "api-key"];
  for (const type of [...known, "fake-for-tests"]) {
    await dialWith({ type, payload: "s3cret", entity: "me" }, { type, payload: "s3cret" }, "me");
  }
});

for (
  const [row, type] of [[7, "robot-location-secret"], [8, "robot-secret"]] as const
) {
  test(`row ${row}: ${type} goes as it is, as the host by default or as another name of the machine`, async () => {
    const { machine, callers } = await startRegistrar();
    await using _ = machine;
    const credentials = { type, payload: "s3cret" };
    await (await dial(machine.address, { insecure: true, credentials })).close();
    await (await dial(machine.address, { insecure: true, credentials, authEntity: "robot.example" })).close();
    assert.deepEqual(callers, [
      { entity: machine.address, ...credentials },
      { entity: "robot.example", ...credentials },
    ]);

    await using strict = await startMachine({
      hosts: ["robot.example"],
      auth: { credentials: [credentials] },
    });
    const options: DialOptions = { insecure: true, disableWebrtc: true, credentials };
    await (await dial(strict.address, { ...options, authEntity: "robot.example" })).close();
    const error = await failureOf(dial(strict.address, { ...options, authEntity: "stranger.example" }));
    assert.ok(error instanceof AuthenticationError);
  });
}

test("row 9: api-key authenticates as the id of the key, never as the host", async () => {
  await using machine = await startMachine();
  const { address, apiKey, apiKeyId } = machine;
  const credentials = { type: "api-key", payload: apiKey };
  const missing = await failureOf(dial(address, { insecure: true, credentials }));
  assert.ok(missing instanceof DialOptionsError);
  assert.equal(missing.problems[0]!.option, "authEntity");
  const asHost = await failureOf(dial(address, { insecure: true, credentials, authEntity: address }));
  assert.ok(asHost instanceof AuthenticationError);
  await (await dial(address, { insecure: true, credentials, authEntity: apiKeyId })).close();
});

test("row 10: Credentials.payload shows in no inspection, text or error", async () => {
  await using machine = await startMachine();
  const secret = "correct-horse-battery-staple";
  const options = { ...DialOptions.withApiKey(secret, machine.apiKeyId), insecure: true };
  const resolved = resolveDialOptions({ ...options, tls: {}, headers: { authorization: secret } });
  const error = await failureOf(dial(machine.address, options));
  const mixedUp = await failureOf(dial(machine.address, { credentials: secret } as unknown as DialOptions));
  assert.equal(options.credentials?.payload, secret);
  assert.equal(resolved.credentials?.payload, secret);
  for (const value of [options, options.credentials, resolved, resolved.credentials, error, mixedUp]) {
    assert.ok(!inspect(value, { depth: 10, showHidden: true }).includes(secret), inspect(value));
    assert.ok(!String(value).includes(secret));
  }
  assert.match(inspect(options), /payload: .\[redacted\]/);
  assert.ok(!JSON.stringify(error).includes(secret));
});
