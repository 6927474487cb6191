/**
 * A server that sends idle connections away (GOAWAY, RFC 9113, section 6.8) ends neither the channel nor the process.
 * On Deno 2.9.6 that takes care: such a frame on an idle session of another HTTP/2 client kills the process in half
 * of the runs. So the channels are in a process of their own, and many of them.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { ProbeService } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { type ChildExit, startProgram } from "../process/child.ts";
import type { IdleLane } from "./programs/idle_client.ts";

/** Time that a connection is idle before it is sent away, in milliseconds. */
const IDLE_MS = 300;

/** Time after a round of calls by which Go, which does not say so, has surely sent its connections away. */
const SENT_AWAY_MS = IDLE_MS + 400;

/** Idle connections that are sent away, a lane: channels times rounds. */
const CHANNELS = 5, ROUNDS = 3;

const TEST_MS = 120_000;

/** Starts goaway_server.mjs. */
async function startNodeServer(idleMs: number, ...files: string[]) {
  const program = fileURLToPath(new URL("programs/goaway_server.mjs", import.meta.url));
  const server = spawn("node", [program, String(idleMs), ...files], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(server, "exit");
  const lines = createInterface({ input: server.stdout });
  const [port] = await once(lines, "line");
  let sentAway = 0, next = Promise.withResolvers<void>();
  lines.on("line", () => {
    sentAway++;
    next.resolve();
    next = Promise.withResolvers();
  });
  return {
    address: `127.0.0.1:${port}`,
    /** Waits until so many connections have been sent away. */
    async untilSentAway(count: number) {
      while (sentAway < count) await next.promise;
    },
    async [Symbol.asyncDispose]() {
      server.stdin.end();
      await exited;
      lines.close();
    },
  };
}

/** The lanes of idle_client.ts: what answers, and how it is called. */
const LANES = ["Node", "Go"].flatMap((server) =>
  ["auto", "grpc"].flatMap((protocol) => [false, true].map((secure) => ({ server, protocol, secure })))
);

/**
 * Holds the channels of all lanes in one process, through all rounds, and returns how that process ends. It is made
 * once, by the first test that asks.
 */
async function holdIdleChannels(): Promise<ChildExit> {
  await using stack = new AsyncDisposableStack();
  const certificates = await makeCertificates();
  stack.defer(() => certificates.remove());
  const [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map((name) => join(certificates.folder, name));
  const nodes = [
    stack.use(await startNodeServer(IDLE_MS)),
    stack.use(await startNodeServer(IDLE_MS, cert!, key!)),
  ];
  const lanes: IdleLane[] = [];
  for (const { server, protocol, secure } of LANES) {
    if (server === "Node") {
      lanes.push({ address: nodes[Number(secure)]!.address, protocol, ...(secure ? { ca: ca! } : {}) });
    } else if (missing("go") === undefined) {
      const own = join(certificates.folder, `${protocol}.pem`);
      const flags = ["-idle", `${IDLE_MS}ms`, "-protocols", protocol === "auto" ? "all" : "grpc"];
      const { address } = stack.use(
        await startGoMachine(...flags, ...(secure ? ["-tls", "-ca-out", own] : [])),
      );
      lanes.push({ address, protocol, ...(secure ? { ca: own } : {}) });
    }
  }
  const client = stack.use(startProgram("tests/dial/programs/idle_client.ts", {
    args: [JSON.stringify(lanes), String(CHANNELS)],
    input: { open: true },
  }));
  for (let round = 1; round <= ROUNDS; round++) {
    assert.equal(await client.line(), "idle");
    // Two lanes share a server.
    const sentAway = nodes.map((node) => node.untilSentAway(2 * CHANNELS * round));
    await Promise.race([Promise.all([delay(SENT_AWAY_MS), ...sentAway]), client.exit]);
    client.write("again\n");
  }
  client.endInput();
  return await client.exit;
}

let held: Promise<ChildExit> | undefined;

for (const { server, protocol, secure } of LANES) {
  const lane = `${protocol === "auto" ? "any protocol" : "native gRPC"} ${
    secure ? "over TLS" : "in the clear"
  }`;
  test(`idle connections may be sent away by ${server}, ${lane}`, async () => {
    const { code, signal, stdout, stderr } = await (held ??= holdIdleChannels());
    assert.deepEqual([code, signal, stdout], [0, null, "idle\n".repeat(ROUNDS + 1) + "done\n"], stderr);
  }, { timeoutMs: TEST_MS, skip: server === "Go" ? missing("go") : undefined });
}

for (const protocol of ["grpc", "grpc-web"] as const) {
  test(`a call that the server refuses unread is made again, up to three times: ${protocol}`, async () => {
    const certificates = await makeCertificates();
    await using _removed = { [Symbol.asyncDispose]: () => certificates.remove() };
    // Sends no idle connection away: that would refuse a call once more.
    await using server = await startNodeServer(
      TEST_MS,
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
