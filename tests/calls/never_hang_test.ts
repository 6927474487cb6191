import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { startMachine } from "../../lib/testing/mod.ts";
import { dial, dialDirect, type ViamChannel } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test, within } from "../harness.ts";
import { startGoMachine } from "../interop/go_machine.ts";
import { missing } from "../interop/requirements.ts";
import { startProgram } from "../process/child.ts";
import { type OpenCall, openEveryStep, settle } from "./every_step.ts";
import { stubbornUpload } from "./stubborn_upload.ts";

/** By when a dead machine has to be declared lost, in milliseconds; timers may be late by the second. */
const DECLARED_MS = 10_000, LATE_MS = 2_000;
/** By when everything has settled after that. */
const SETTLED_MS = 1_000;

async function dialed(address: string): Promise<ViamChannel> {
  return await dial(address, { insecure: true, maxReconnectAttempts: 0 });
}

interface Watched {
  readonly channel: ViamChannel;
  readonly calls: OpenCall[];
  /** The time at which the channel was declared lost, by `performance.now()`. */
  readonly declared: Promise<number>;
}

async function watched(address: string, stubborn: boolean): Promise<Watched> {
  const channel = await dialed(address);
  const declared = new Promise<number>((resolve) => {
    channel.addEventListener("disconnected", () => resolve(performance.now()), { once: true });
  });
  return { channel, calls: await openEveryStep(channel, stubborn), declared };
}

/** Every call has settled with `Unavailable`, soon after the loss was declared. */
async function assertSettled(calls: readonly OpenCall[], declared: number): Promise<void> {
  for (const { name, settled } of calls) {
    const { outcome, at } = await within(SETTLED_MS + LATE_MS, () => settled).catch((error) => {
      throw new Error(`${name}: ${error.message}`);
    });
    assert.equal(outcome, "Unavailable", name);
    assert.ok(at - declared < SETTLED_MS, `${name}: ${at - declared} ms after the loss`);
  }
}

test(
  "protocol §10, 4: a machine that is killed is lost within 10 s, and every step of every call ends with Unavailable",
  async () => {
    const go = missing("go") === undefined ? await startGoMachine() : undefined;
    await using child = startProgram("tests/calls/programs/machine.ts");
    const open = [await watched(await child.line(), true)];
    if (go !== undefined) open.push(await watched(go.address, false));
    const killed = performance.now();
    child.kill("SIGKILL");
    const goEnded = go?.kill();
    const late = open.map(({ channel }) => {
      const probe = createClient(ProbeService, channel);
      return {
        unavailable: { name: "a call after the death", settled: settle(() => probe.hangUnary({})) },
        deadline: settle(() => probe.hangUnary({}, { timeoutMs: 1_500 })),
        aborted: settle(() => probe.hangUnary({}, { signal: AbortSignal.timeout(1_500) })),
      };
    });
    for (const [index, { channel, calls, declared }] of open.entries()) {
      const at = await within(DECLARED_MS + LATE_MS, () => declared);
      console.log(`declared lost ${Math.round(at - killed)} ms after SIGKILL`);
      assert.ok(at - killed < DECLARED_MS + LATE_MS / 2, `${at - killed} ms`);
      await assertSettled([...calls, late[index]!.unavailable], at);
      // These need no connection to end.
      const [deadline, aborted] = await Promise.all([late[index]!.deadline, late[index]!.aborted]);
      assert.equal(deadline.outcome, "DeadlineExceeded", "a call with a deadline");
      assert.equal(aborted.outcome, "Canceled", "a call with a signal");
      for (const { outcome, at: ended } of [deadline, aborted]) {
        assert.ok(ended < at, `${outcome} ${ended - at} ms after the loss was declared`);
      }
      await within(LATE_MS, () => channel.closed);
      assert.equal(channel.state, "closed");
      const start = performance.now();
      const after = await settle(() => createClient(ProbeService, channel).echo({}));
      assert.equal(after.outcome, "Unavailable", "a call on a closed channel");
      assert.ok(after.at - start < 500, "a call on a closed channel rejects at once");
      await channel.close();
      await goEnded;
    }
  },
  { timeoutMs: 60_000 },
);

test("a machine that closes the data channel ends every step of every call with Unavailable", async () => {
  await using machine = await startMachine({ auth: "none", routes: stubbornUpload });
  const { channel, calls, declared } = await watched(machine.address, true);
  const closed = performance.now();
  machine.dropConnections();
  const at = await within(DECLARED_MS, () => declared);
  assert.ok(at - closed < 3_000, `declared after ${at - closed} ms`);
  await assertSettled(calls, at);
  await channel.close();
}, { timeoutMs: 60_000 });

for (const protocol of ["auto", "grpc"] as const) {
  test(
    `a machine that is killed ends every step of every direct call with Unavailable, protocol ${protocol}`,
    async () => {
      await using child = startProgram("tests/calls/programs/machine.ts");
      await using channel = await dialDirect(await child.line(), { insecure: true, protocol });
      const calls = await openEveryStep(channel, true);
      child.kill("SIGKILL");
      await child.exit;
      await assertSettled(calls, performance.now());
    },
    { timeoutMs: 60_000 },
  );
}

test("close() ends every step of every call with Unavailable, and nothing of them is left", async () => {
  await using machine = await startMachine({ auth: "none", routes: stubbornUpload });
  for (const disableWebrtc of [false, true]) {
    await using channel = await dial(machine.address, { insecure: true, disableWebrtc });
    const calls = await openEveryStep(channel, true);
    const closed = performance.now();
    await channel.close();
    await assertSettled(calls, closed);
    assert.equal(
      (await settle(() => createClient(ProbeService, channel).echo({}))).outcome,
      "Unavailable",
    );
  }
}, { timeoutMs: 60_000 });

test("a deadline and a signal end every kind of call when the machine says nothing at all", async () => {
  await using machine = await startMachine({ auth: "none" });
  for (const disableWebrtc of [false, true]) {
    await using channel = await dial(machine.address, { insecure: true, disableWebrtc });
    const probe = createClient(ProbeService, channel);
    await probe.echo({});
    machine.faults = { silent: true, only: (path) => path.includes("ProbeService") };
    const never = (async function* () {
      await new Promise(() => {});
      yield { data: new Uint8Array(0) };
    })();
    const read = async (messages: AsyncIterable<unknown>) => {
      for await (const _ of messages);
    };
    for (
      const [outcome, options] of [
        ["DeadlineExceeded", () => ({ timeoutMs: 300 })],
        ["Canceled", () => {
          const controller = new AbortController();
          setTimeout(() => controller.abort(), 300);
          return { signal: controller.signal };
        }],
      ] as const
    ) {
      const start = performance.now();
      const settled = await Promise.all([
        settle(() => probe.echo({}, options())),
        settle(() => read(probe.download({ size: 1, count: 1 }, options()))),
        settle(() => probe.upload(never, options())),
        settle(() => read(probe.exchange(never, options()))),
      ]);
      for (const call of settled) {
        assert.equal(call.outcome, outcome);
        assert.ok(call.at - start < 2_500, `${call.at - start} ms`);
      }
    }
    machine.faults = {};
    await probe.echo({});
  }
}, { timeoutMs: 60_000 });
