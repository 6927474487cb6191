/**
 * A server that sends idle connections away (GOAWAY, RFC 9113, section 6.8) ends neither the channel nor the process.
 * On Deno 2.9.6 that takes care: such a frame on an idle session of another HTTP/2 client kills the process in half
 * of the runs. So the channels are in a process of their own, and many of them.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ProbeService } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { runProgram } from "../process/child.ts";

/** How long a connection is idle before it is sent away, and how long the client then waits, in milliseconds. */
const IDLE_MS = 300, WAIT_MS = 700;

/** Idle connections that are sent away, a test: channels times rounds. */
const CHANNELS = 20, ROUNDS = 3;

const TEST_MS = 120_000;

/** Starts goaway_server.mjs. */
async function startNodeServer(...files: string[]) {
  const program = fileURLToPath(new URL("programs/goaway_server.mjs", import.meta.url));
  const server = spawn("node", [program, String(IDLE_MS), ...files], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(server, "exit");
  const lines = createInterface({ input: server.stdout });
  const [port] = await once(lines, "line");
  let sentAway = 0;
  lines.on("line", () => sentAway++);
  return {
    address: `127.0.0.1:${port}`,
    get sentAway() {
      return sentAway;
    },
    async [Symbol.asyncDispose]() {
      server.stdin.end();
      await exited;
      lines.close();
    },
  };
}

async function assertSurvives(address: string, protocol: string, ca?: string): Promise<void> {
  const counts = [CHANNELS, ROUNDS, WAIT_MS].map(String);
  const { code, signal, stdout, stderr } = await runProgram("tests/dial/programs/idle_client.ts", {
    args: [address, protocol, ...counts, ...(ca === undefined ? [] : [ca])],
  });
  assert.deepEqual([code, signal, stdout], [0, null, "done\n"], stderr);
}

for (const protocol of ["auto", "grpc"]) {
  for (const secure of [false, true]) {
    const lane = `${protocol === "auto" ? "any protocol" : "native gRPC"} ${
      secure ? "over TLS" : "in the clear"
    }`;

    test(`idle connections may be sent away by Node, ${lane}`, async () => {
      const certificates = secure ? await makeCertificates() : undefined;
      await using _removed = { [Symbol.asyncDispose]: async () => await certificates?.remove() };
      const files = ["cert.pem", "key.pem", "ca.pem"].map((name) =>
        certificates === undefined ? "" : join(certificates.folder, name)
      );
      await using server = await startNodeServer(...(secure ? files.slice(0, 2) : []));
      await assertSurvives(server.address, protocol, secure ? files[2] : undefined);
      assert.ok(server.sentAway >= CHANNELS * ROUNDS, `only ${server.sentAway} were sent away`);
    }, { timeoutMs: TEST_MS });

    test(`idle connections may be sent away by Go, ${lane}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "viam-dial-goaway-"));
      await using _removed = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
      const ca = join(folder, "ca.pem");
      await using machine = await startGoMachine(
        ...["-idle", `${IDLE_MS}ms`, "-protocols", protocol === "auto" ? "all" : "grpc"],
        ...(secure ? ["-tls", "-ca-out", ca] : []),
      );
      await assertSurvives(machine.address, protocol, secure ? ca : undefined);
    }, { timeoutMs: TEST_MS, skip: missing("go") });
  }
}

for (const protocol of ["grpc", "grpc-web"] as const) {
  test(`a call that the server refuses unread is made again, up to three times: ${protocol}`, async () => {
    const certificates = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: () => certificates.remove() };
    await using server = await startNodeServer(
      ...["cert.pem", "key.pem"].map((name) => join(certificates.folder, name)),
    );
    await using channel = await dialDirect(server.address, { tls: { ca: certificates.ca }, protocol });
    const probe = createClient(ProbeService, channel);
    const refused = (times: string) => ({ headers: { "x-call": crypto.randomUUID(), "x-refuse": times } });
    async function* messages() {
      yield {};
      yield {};
    }
    await probe.echo({}, refused("2"));
    await probe.echo({}, refused("1 by GOAWAY"));
    for await (const _ of probe.download({ count: 1 }, refused("2")));
    await probe.upload(messages(), refused("1"));
    // Over HTTP/1.1 no server can refuse a call so.
    if (protocol === "grpc-web") return;
    await assert.rejects(
      probe.echo({}, refused("3")),
      (error) => error instanceof ConnectError && error.code === Code.Unavailable,
    );
  });
}
