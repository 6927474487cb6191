/** Scenarios of a program that turns a wheel with a session, and of what becomes of the wheel. */

import type { Program } from "./program.ts";
import { duration, leave, must, type Scenario, type Table } from "./scenario.ts";
import { forwarding, MACHINE_NAME, type World } from "./world.ts";

export const SAFETY: Table = {
  id: "safety",
  title: "What stops a wheel",
  text:
    "The client turns a wheel, with a session whose window is 2 s. Heartbeats have kept the wheel turning for 3 s " +
    "when the event happens.",
  columns: ["the wheel", "left behind"],
};

const WINDOW_MS = 2_000;

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

async function turn(world: World, client: Program): Promise<void> {
  const options = { ...world.options(), session: true, maxReconnectAttempts: 20 };
  await client.ask("dial", { address: MACHINE_NAME, options });
  await client.ask("turn");
  await pause(WINDOW_MS + 1_000);
  must(await turns(world), "the wheel stopped before the event");
}

async function turns({ machineProgram }: World): Promise<boolean> {
  return (await machineProgram.ask("turning")).length > 0;
}

/** An event that is the end of the session. */
function stopping(
  name: string,
  happen: (world: World, client: Program) => Promise<void>,
  mend: (world: World, client: Program) => Promise<string>,
): Scenario {
  return {
    table: SAFETY.id,
    name,
    quick: true,
    onNode: true,
    async run(setting) {
      const world = await setting.world();
      const client = await world.startClient();
      await turn(world, client);
      const stopped = world.machineProgram.ask("stopped", {}, 60_000);
      const began = performance.now();
      await happen(world, client);
      await stopped;
      const tookMs = performance.now() - began;
      must(tookMs < WINDOW_MS + 1_000, `the wheel stopped after ${tookMs.toFixed(0)} ms`);
      return [`stops after ${duration(tookMs)}`, await mend(world, client)];
    },
  };
}

/** An event that the session outlives. */
function keeping(
  name: string,
  quick: boolean,
  happen: (world: World, client: Program) => Promise<void>,
): Scenario {
  return {
    table: SAFETY.id,
    name,
    quick,
    async run(setting) {
      const world = await setting.world();
      const client = await world.startClient();
      await turn(world, client);
      await happen(world, client);
      await pause(WINDOW_MS + 1_000);
      must(await turns(world), "the wheel stopped");
      await client.ask("turn");
      const sessions: string[] = await world.machineProgram.ask("sessions");
      must(sessions.length === 1, `there were ${sessions.length} sessions`);
      return ["turns on, by the same session", await leave(client)];
    },
  };
}

/** An upload puts as much in front of a heartbeat as the buffers of the way take. */
const besideUpload: Scenario = {
  table: SAFETY.id,
  name: "an upload begins to use all of a link of 1 Mbit/s, for 20 s",
  quick: false,
  async run(setting) {
    const world = await setting.world();
    const client = await world.startClient();
    await turn(world, client);
    const link = await world.lab.link(world.client);
    await link.shape({ bitsPerSecond: 1_000_000 });
    const began = performance.now();
    const stopped = world.machineProgram.ask("stopped", {}, 60_000).then(() => performance.now() - began);
    await client.ask("bulk", { direction: "up" });
    const tookMs = await Promise.race([stopped, pause(20_000)]);
    await link.shape({});
    await client.ask("bulkEnd");
    // What had been told to stop turns again with the next call, whatever became of the session.
    await client.ask("turn");
    must(await turns(world), "the wheel does not turn again");
    stopped.catch(() => {});
    return [tookMs === undefined ? "turns on" : `stops after ${duration(tookMs)}`, await leave(client)];
  },
};

export const SAFETY_SCENARIOS: readonly Scenario[] = [
  stopping("the client is killed", async (_world, client) => await client.kill(), () => Promise.resolve("–")),
  stopping(
    "every packet is lost for 5 s",
    (world) => world.lab.router.filter(forwarding("drop")),
    async (world, client) => {
      await pause(3_000);
      await world.lab.router.filter("");
      await client.ask("recover", { timeoutMs: 60_000 }, 90_000);
      // The next monitored call begins another session.
      await client.ask("turn");
      must(await turns(world), "the wheel does not turn again");
      return await leave(client);
    },
  ),
  keeping("every packet is lost for half a second", true, async ({ lab }) => {
    // The engine sends again after 0.2, 0.6, 1.4 s and so on, and what comes after 2 s is too late for a heartbeat.
    await lab.router.filter(forwarding("drop"));
    await pause(500);
    await lab.router.filter("");
  }),
  keeping("the machine drops its connections 60 times, each 2 s", false, async ({ machineProgram }) => {
    for (let time = 0; time < 60; time++) {
      await machineProgram.ask("dropConnections");
      await pause(2_000);
    }
  }),
  besideUpload,
];
