import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { ProbeService } from "../../lib/testing/mod.ts";
import { dialDirect, type DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

const skip = missing("go");

for (const secure of [false, true]) {
  for (const [streams, allowed] of [[300, 250], [100, 1]] as const) {
    const how = secure ? "with TLS" : "in cleartext";
    test(
      `${streams} streams stay open where a connection allows ${allowed}, and unary calls go on beside them, ${how}`,
      async () => {
        const folder = await mkdtemp(join(tmpdir(), "limits-"));
        const ca = join(folder, "ca.pem");
        const flags = secure ? ["-tls", "-ca-out", ca] : [];
        await using machine = await startGoMachine("-no-webrtc", "-streams", String(allowed), ...flags);
        const options: DialOptions = secure
          ? { tls: { ca: await readFile(ca, "utf8") } }
          : { insecure: true };
        await rm(folder, { recursive: true });
        await using channel = await dialDirect(machine.address, options);
        const probe = createClient(ProbeService, channel);
        const left = new AbortController();
        const { signal } = left;
        const open = Array.from(
          { length: streams },
          () => probe.hang({}, { signal })[Symbol.asyncIterator](),
        );
        for (const { done } of await Promise.all(open.map((stream) => stream.next()))) {
          assert.equal(done, false);
        }
        for (let round = 0; round < 3; round++) {
          await Promise.all(Array.from({ length: 20 }, () => probe.echo({}, { timeoutMs: 10_000 })));
        }
        const ended = Promise.allSettled(open.map((stream) => stream.next()));
        left.abort();
        await ended;
      },
      { skip },
    );
  }
}

test("a burst of 20 calls is answered where a connection allows one at a time", async () => {
  await using machine = await startGoMachine("-no-webrtc", "-streams", "1");
  for (const protocol of ["auto", "grpc-web"] as const) {
    await using channel = await dialDirect(machine.address, { insecure: true, protocol });
    const probe = createClient(ProbeService, channel);
    await Promise.all(Array.from({ length: 20 }, () => probe.echo({})));
  }
}, { skip });
