/** Proxies that the environment names, in processes of their own: runtimes read it at their start. */

import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import type { DialOptions } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { runtime, test } from "../harness.ts";
import { startProxy } from "../proxy_server.ts";
import { runProgram } from "./child.ts";

/** Deno's permissions for WebRTC; the other runtimes have none. */
const WITHOUT_ENV = ["--allow-net", "--allow-ffi", "--allow-read"];
const WITH_ENV = [...WITHOUT_ENV, "--allow-env"];

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
}

function call(
  address: string,
  options: DialOptions,
  env: Readonly<Record<string, string>>,
  permissions: readonly string[],
): Promise<Outcome> {
  return runProgram("tests/process/programs/dial_and_call.ts", {
    permissions,
    // Deno's own question for a newer version is none of the program's.
    env: { DENO_NO_UPDATE_CHECK: "1", ...env },
    args: [JSON.stringify({ address, options: { mdns: false, ...options } })],
  });
}

const permitted = runtime === "deno" ? [WITH_ENV, WITHOUT_ENV] : [WITH_ENV];
for (const permissions of permitted) {
  const title = permissions === WITH_ENV ? "" : ", without --allow-env";
  test(`loopback, and a dial without a proxy, pass by the proxies of the environment${title}`, async () => {
    const certificates = await makeCertificates();
    try {
      const { cert, key, ca } = certificates;
      await using plain = await startMachine({ auth: "none" });
      await using secure = await startMachine({ auth: "none", tls: { cert, key } });
      await using proxy = await startProxy({ kind: "http", routes: {} });
      const url = `http://127.0.0.1:${proxy.port}`;
      const names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"];
      // Node reads them only if it is told so.
      const env = { NODE_USE_ENV_PROXY: "1", ...Object.fromEntries(names.map((name) => [name, url])) };
      const direct = { disableWebrtc: true };
      const outcomes = await Promise.all([
        // gRPC-Web goes by fetch, where there is one to use.
        call(plain.address, { ...direct, insecure: true, protocol: "grpc-web" }, env, permissions),
        call(secure.address, { ...direct, tls: { ca }, protocol: "grpc-web" }, env, permissions),
        call(secure.address, { ...direct, tls: { ca } }, env, permissions),
        call(secure.address, { tls: { ca }, proxy: "none" }, env, permissions),
      ]);
      for (const { stdout, stderr } of outcomes) {
        assert.equal(stderr, "");
        assert.equal(JSON.parse(stdout).message, "hello");
      }
      const away = await call("robot.invalid", { ...direct, proxy: "none" }, env, permissions);
      assert.match(away.stderr, /name not found: robot\.invalid:443/);
      assert.deepEqual(proxy.asked, []);
    } finally {
      await certificates.remove();
    }
  });
}

test("a proxy of the environment is used for what it is for, and NO_PROXY excepts", async () => {
  await using machine = await startMachine({ auth: "none" });
  const port = Number(machine.address.split(":").at(-1));
  const credentials = { username: "me", password: "s3cret" };
  await using proxy = await startProxy({ kind: "http", routes: { "robot.invalid:80": port }, credentials });
  const env = { HTTP_PROXY: `http://me:s3cret@127.0.0.1:${proxy.port}` };
  const options = { insecure: true, disableWebrtc: true };
  const through = await call("robot.invalid", options, env, WITH_ENV);
  assert.equal(through.stderr, "");
  assert.equal(JSON.parse(through.stdout).message, "hello");
  const asked = proxy.asked.length;
  assert.ok(asked > 0);
  const excepted = await call("robot.invalid", options, { ...env, NO_PROXY: "x, .invalid:80" }, WITH_ENV);
  assert.match(excepted.stderr, /name not found: robot\.invalid:80/);
  const unread = runtime === "deno" ? await call("robot.invalid", options, env, WITHOUT_ENV) : excepted;
  assert.match(unread.stderr, /name not found: robot\.invalid:80/);
  const wrong = await call("robot.invalid", options, { HTTP_PROXY: "socks4://me:s3cret@p" }, WITH_ENV);
  assert.match(wrong.stderr, /the environment variable HTTP_PROXY must be a URL that begins with/);
  assert.ok(![excepted, unread, wrong].some(({ stderr }) => stderr.includes("s3cret")));
  assert.equal(proxy.asked.length, asked);
});
