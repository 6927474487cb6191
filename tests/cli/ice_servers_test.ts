import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import dgram from "node:dgram";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { checkStun, checkTurn, checkUdp } from "../../lib/cli/doctor/ice_servers.ts";
import type { IceEndpoint } from "../../lib/core/ice/ice.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";

const LIMIT = { timeoutMs: 60_000 };

function stun(port: number): IceEndpoint {
  return {
    scheme: "stun",
    hostname: "127.0.0.1",
    port,
    transport: "udp",
    username: undefined,
    credential: undefined,
  };
}

/** Waits no longer than `ms`. */
async function within<T>(ms: number, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new DOMException("too long", "TimeoutError")), ms);
  try {
    return await ask(stop.signal);
  } finally {
    clearTimeout(timer);
  }
}

test("checkUdp() finds that datagrams pass on this computer", async () => {
  const { verdict, result } = await within(30_000, checkUdp);
  assert.deepEqual([verdict, result], ["ok", true]);
}, LIMIT);

test("checkStun() reports a silent server, and leaves no socket behind", async () => {
  const mute = dgram.createSocket("udp4");
  mute.bind(0, "127.0.0.1");
  await once(mute, "listening");
  try {
    const { verdict, detail, result } = await within(
      300,
      (signal) => checkStun([stun(mute.address().port)], signal),
    );
    assert.deepEqual([verdict, result], ["note", { asked: 1, answering: 0 }]);
    assert.match(detail, /fails: no answer/);
  } finally {
    mute.close();
    await once(mute, "close");
  }
  const nobody = await within(1_000, (signal) => checkStun([], signal));
  assert.equal(nobody.verdict, "skipped");
}, LIMIT);

/** A TCP port that is free, most likely. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const coturn = spawnSync("turnserver", ["--version"], { stdio: "ignore" }).error === undefined
  ? undefined
  : "needs `turnserver`, of the Debian package coturn";

test("checkStun() and checkTurn() ask coturn over UDP, TCP and TLS, and report refusals", async () => {
  const certificates = await makeCertificates();
  const { folder, ca } = certificates;
  const [port, tlsPort] = [await freePort(), await freePort()];
  await writeFile(
    join(folder, "turnserver.conf"),
    [
      "listening-ip=127.0.0.1",
      "relay-ip=127.0.0.1",
      `listening-port=${port}`,
      `tls-listening-port=${tlsPort}`,
      `cert=${folder}/cert.pem`,
      `pkey=${folder}/key.pem`,
      "realm=viam-dial.example",
      "lt-cred-mech",
      "user=me:secret",
      "no-cli",
      "no-dtls",
      "log-file=stdout",
      "simple-log",
      `pidfile=${folder}/pid`,
      `userdb=${folder}/users.db`,
    ].join("\n"),
  );
  const server = spawn("turnserver", ["-c", join(folder, "turnserver.conf")], { stdio: "ignore" });
  const exited = once(server, "exit");
  try {
    const turn = (
      scheme: "turn" | "turns",
      transport: "udp" | "tcp",
      credential = "secret",
    ): IceEndpoint => ({
      scheme,
      hostname: "127.0.0.1",
      port: scheme === "turns" ? tlsPort : port,
      transport,
      username: "me",
      credential,
    });
    // It has no word for being ready; it is when it answers.
    for (let up = false; !up;) {
      const found = await within(1_000, (signal) => checkStun([stun(port)], signal));
      up = found.verdict === "ok";
      if (up) assert.match(found.detail, /sees this computer as 127\.0\.0\.1:\d+$/);
    }
    const servers = [turn("turn", "udp"), turn("turn", "tcp"), turn("turns", "tcp")];
    const good = await within(20_000, (signal) => checkTurn(servers, { ca }, signal));
    assert.equal(good.verdict, "ok", good.detail);
    assert.deepEqual(good.result, { asked: 3, answering: 3 });
    assert.equal(good.detail.match(/over (?:UDP|TCP|TLS) relays at 127\.0\.0\.1:\d+/g)?.length, 3);
    const wrong = await within(
      20_000,
      (signal) => checkTurn([turn("turn", "udp", "wr0ng"), turn("turns", "tcp")], {}, signal),
    );
    assert.equal(wrong.verdict, "note");
    assert.deepEqual(wrong.result, { asked: 2, answering: 1 }, wrong.detail);
    assert.match(
      wrong.detail,
      /over UDP fails: it refuses the credentials; .* over TLS fails: .*certificate/,
    );
    assert.ok(!wrong.detail.includes("wr0ng"));
  } finally {
    server.kill("SIGKILL");
    await exited;
    await certificates.remove();
  }
}, { ...LIMIT, skip: coturn });
