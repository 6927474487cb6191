import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { type Machine, type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { EchoService } from "../../proto/gen/proto/rpc/examples/echo/v1/echo_pb.ts";
import { AuthService, ExternalAuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { test } from "../harness.ts";
import { callGrpc, callGrpcWeb, withSession } from "./wire.ts";

const { echo } = EchoService.method;
const { authenticate } = AuthService.method;
const { authenticateTo } = ExternalAuthService.method;

interface Claims {
  readonly sub: string;
  readonly aud: readonly string[];
  readonly iss: string;
  readonly iat: number;
  readonly jti: string;
  readonly rpc_creds_type: string;
  readonly exp?: number;
}

async function tokenOf(
  machine: Machine,
  entity = machine.apiKeyId,
  payload = machine.apiKey,
): Promise<string> {
  const answer = await callGrpcWeb(machine.url, authenticate, {
    entity,
    credentials: { type: "api-key", payload },
  });
  assert.equal(answer.status, 0, answer.message);
  return answer.messages[0]!.accessToken;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

function part<T>(token: string, index: number): T {
  const text = token.split(".")[index]!.replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(text)) as T;
}

test("an API key gets a token, which calls need", async () => {
  await using machine = await startMachine();
  const token = await tokenOf(machine);
  assert.equal(
    (await callGrpcWeb(machine.url, echo, { message: "x" }, bearer(token))).messages[0]?.message,
    "x",
  );
  await withSession(machine.url, async (session) => {
    assert.equal((await callGrpc(session, echo, {}, bearer(token))).status, 0);
  });
});

test("a token is a signed JWT as goutils makes it", async () => {
  await using machine = await startMachine({ hosts: ["robot.example"] });
  const token = await tokenOf(machine);
  const header = part<{ alg: string; kid: string; typ: string }>(token, 0);
  assert.deepEqual([header.alg, header.typ], ["EdDSA", "JWT"]);
  const claims = part<Claims>(token, 1);
  assert.equal(claims.sub, machine.apiKeyId);
  assert.deepEqual(claims.aud, ["robot.example", machine.address]);
  assert.equal(claims.iss, "robot.example");
  assert.equal(claims.rpc_creds_type, "api-key");
  assert.equal(claims.exp, undefined);
  assert.ok(Math.abs(claims.iat - Date.now() / 1000) < 10);
  assert.match(claims.jti, /^[0-9a-f-]{36}$/);
  // The key id is the public key itself, so anybody can check the signature.
  const raw = Uint8Array.from(
    atob(header.kid.replaceAll("-", "+").replaceAll("_", "/")),
    (character) => character.charCodeAt(0),
  );
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const [head, body, signature] = token.split(".");
  const bytes = Uint8Array.from(
    atob(signature!.replaceAll("-", "+").replaceAll("_", "/")),
    (character) => character.charCodeAt(0),
  );
  assert.ok(await crypto.subtle.verify("Ed25519", key, bytes, new TextEncoder().encode(`${head}.${body}`)));
});

test("wrong credentials are refused with the messages of a real machine", async () => {
  await using machine = await startMachine();
  const { apiKey: payload, apiKeyId: entity } = machine;
  const cases: [string, Parameters<typeof callGrpcWeb<typeof authenticate>>[2], Code, string][] = [
    [
      "wrong key",
      { entity, credentials: { type: "api-key", payload: "x" } },
      Code.Unauthenticated,
      "invalid credentials",
    ],
    [
      "wrong id",
      { entity: crypto.randomUUID(), credentials: { type: "api-key", payload } },
      Code.Unauthenticated,
      "invalid credentials",
    ],
    [
      "wrong type",
      { entity, credentials: { type: "robot-secret", payload } },
      Code.InvalidArgument,
      'do not know how to handle credential type "robot-secret"',
    ],
    ["none", { entity }, Code.InvalidArgument, "credentials required"],
  ];
  for (const [name, request, status, message] of cases) {
    const answer = await callGrpcWeb(machine.url, authenticate, request);
    assert.deepEqual([answer.status, answer.message], [status, message], name);
  }
  const again = await callGrpcWeb(
    machine.url,
    authenticate,
    { entity, credentials: { type: "api-key", payload } },
    bearer(await tokenOf(machine)),
  );
  assert.deepEqual(
    [again.status, again.message],
    [Code.InvalidArgument, "already authenticated; cannot re-authenticate"],
  );
});

test("a call without a good token is Unauthenticated", async () => {
  await using machine = await startMachine();
  const token = await tokenOf(machine);
  const [head, body, signature] = token.split(".");
  const otherBody = btoa(JSON.stringify({ ...part<Claims>(token, 1), sub: "root" })).replaceAll("=", "");
  const cases: [string, Record<string, string>, RegExp][] = [
    ["no token", {}, /^authentication required$/],
    ["two tokens", { authorization: `Bearer ${token}, Bearer ${token}` }, /^authentication required$/],
    [
      "another scheme",
      { authorization: `Basic ${token}` },
      /^expected authorization header with prefix: Bearer $/,
    ],
    ["no scheme", { authorization: token }, /^expected authorization header with prefix: Bearer $/],
    ["garbage", bearer("garbage"), /^unauthenticated: /],
    ["three parts of garbage", bearer("a.b.c"), /^unauthenticated: /],
    ["other claims", bearer(`${head}.${otherBody}.${signature}`), /^unauthenticated: /],
    ["no signature", bearer(`${head}.${body}.`), /^unauthenticated: /],
    ["no algorithm", bearer(`${btoa('{"alg":"none"}').replaceAll("=", "")}.${body}.`), /^unauthenticated: /],
  ];
  for (const [name, headers, message] of cases) {
    const answer = await callGrpcWeb(machine.url, echo, {}, headers);
    assert.equal(answer.status, Code.Unauthenticated, name);
    assert.match(answer.message, message, name);
    assert.doesNotMatch(answer.message, /eyJ/, `${name}: the token must not be repeated`);
  }
});

test("a machine refuses another machine's token", async () => {
  await using one = await startMachine();
  await using other = await startMachine();
  const answer = await callGrpcWeb(other.url, echo, {}, bearer(await tokenOf(one)));
  assert.equal(answer.status, Code.Unauthenticated);
});

test("tokens expire after their lifetime, and without one never", async () => {
  const credentials = [{ type: "api-key", entity: "id", payload: "key" }];
  await using machine = await startMachine({ auth: { credentials, tokenLifetimeMs: 400 } });
  assert.deepEqual([machine.apiKeyId, machine.apiKey], ["id", "key"]);
  const token = await tokenOf(machine);
  const { exp } = part<Claims>(token, 1);
  assert.ok(exp !== undefined && exp * 1000 <= Date.now() + 400);
  assert.equal((await callGrpcWeb(machine.url, echo, {}, bearer(token))).status, 0);
  await new Promise((resolve) => setTimeout(resolve, exp * 1000 - Date.now() + 5));
  const late = await callGrpcWeb(machine.url, echo, {}, bearer(token));
  assert.deepEqual([late.status, late.message], [Code.Unauthenticated, "unauthenticated: token is expired"]);
});

test("revoked tokens are refused, new ones are not", async () => {
  await using machine = await startMachine();
  const old = await tokenOf(machine);
  machine.revokeTokens();
  assert.equal((await callGrpcWeb(machine.url, echo, {}, bearer(old))).status, Code.Unauthenticated);
  assert.equal((await callGrpcWeb(machine.url, echo, {}, bearer(await tokenOf(machine)))).status, 0);
});

test("a location secret is accepted for any name of the machine", async () => {
  const auth: MachineOptions["auth"] = { credentials: [{ type: "robot-location-secret", payload: "s" }] };
  const authenticateAs = async (machine: Machine, entity: string, payload = "s") =>
    (await callGrpcWeb(machine.url, authenticate, {
      entity,
      credentials: { type: "robot-location-secret", payload },
    })).status;
  await using named = await startMachine({ auth, hosts: ["robot.example"] });
  assert.equal(await authenticateAs(named, "robot.example"), 0);
  assert.equal(await authenticateAs(named, named.address), 0);
  assert.equal(await authenticateAs(named, "other.example"), Code.Unauthenticated);
  assert.equal(await authenticateAs(named, "robot.example", "t"), Code.Unauthenticated);
  assert.equal(named.apiKey, "");
  await using anybody = await startMachine({ auth });
  assert.equal(await authenticateAs(anybody, "whatever"), 0);
});

test("without authentication, AuthService is unimplemented", async () => {
  await using machine = await startMachine({ auth: "none" });
  const answer = await callGrpcWeb(machine.url, authenticate, { entity: "x" });
  assert.equal(answer.status, Code.Unimplemented);
  assert.deepEqual([machine.apiKey, machine.apiKeyId], ["", ""]);
  assert.equal((await callGrpcWeb(machine.url, echo, {})).status, 0);
});

test("a token for another entity is good where its issuer is trusted", async () => {
  const credentials = [{ type: "api-key", entity: "id", payload: "key" }];
  await using cloud = await startMachine({ auth: { credentials, externalAuth: true } });
  await using robot = await startMachine({
    hosts: ["robot.example"],
    auth: { credentials: [], trusts: [cloud] },
  });
  const first = await tokenOf(cloud);
  const exchange = async (entity: string) =>
    (await callGrpcWeb(cloud.url, authenticateTo, { entity }, bearer(first))).messages[0]!.accessToken;
  const second = await exchange("robot.example");
  const claims = part<Claims>(second, 1);
  assert.deepEqual([claims.sub, claims.aud, claims.rpc_creds_type], ["id", ["robot.example"], "external"]);
  assert.equal((await callGrpcWeb(robot.url, echo, {}, bearer(second))).status, 0);
  const elsewhere = await callGrpcWeb(robot.url, echo, {}, bearer(await exchange("other.example")));
  assert.deepEqual([elsewhere.status, elsewhere.message], [16, "unauthenticated: invalid audience"]);
  assert.equal((await callGrpcWeb(robot.url, echo, {}, bearer(first))).status, Code.Unauthenticated);
  const anonymous = await callGrpcWeb(cloud.url, authenticateTo, { entity: "robot.example" });
  assert.equal(anonymous.status, Code.Unauthenticated);
});

test("ExternalAuthService exists only if it is enabled", async () => {
  await using machine = await startMachine();
  const answer = await callGrpcWeb(machine.url, authenticateTo, {}, bearer(await tokenOf(machine)));
  assert.equal(answer.status, Code.Unimplemented);
});
