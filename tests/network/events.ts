/** Scenarios of random events under one open channel. */

import { randomFrom } from "../random.ts";
import { MOST_CALL_MS, type Outcome, pause, signal } from "./survival.ts";
import type { Program } from "./program.ts";
import { leave, must, type Scenario, type Table } from "./scenario.ts";
import { bothWays, CLIENT, forwarding, MACHINE_NAME, type World } from "./world.ts";

export const EVENTS: Table = {
  id: "events",
  title: "Random events",
  text:
    `The client makes a call every 50 ms, each with a deadline of 10 s. Meanwhile its machine is killed and started again or
stopped, links go down, packets get lost, the client's address changes or the client is stopped, in a random order
(\`--seed\` repeats a run). Every call must end. Every failure must be that of a connection or a deadline. At the end the
channel must be connected, and nothing be left.`,
  columns: ["seed", "events", "calls", "connections", "left behind"],
};

interface RandomEvent {
  readonly name: string;
  /** Runs the event, for some seconds that `random` decides. */
  happen(world: World, client: Program, random: () => number): Promise<void>;
}

const EVERY: readonly RandomEvent[] = [
  {
    name: "kill",
    async happen(world, _client, random) {
      await world.machineProgram.kill();
      await pause(random() * 5_000);
      await world.restartMachine();
    },
  },
  {
    name: "stop of the machine",
    async happen({ machineProgram }, _client, random) {
      await signal(machineProgram, "SIGSTOP");
      await pause(500 + random() * 5_000);
      await signal(machineProgram, "SIGCONT");
    },
  },
  {
    name: "stop of the client",
    async happen(_world, client, random) {
      await signal(client, "SIGSTOP");
      await pause(500 + random() * 8_000);
      await signal(client, "SIGCONT");
    },
  },
  {
    name: "link down",
    async happen({ machine }, _client, random) {
      await machine.link("down");
      await pause(200 + random() * 8_000);
      await machine.link("up");
    },
  },
  {
    name: "loss",
    async happen({ lab }, _client, random) {
      await lab.router.filter(
        forwarding(
          ...bothWays(CLIENT, `meta l4proto udp numgen random mod 100 < ${5 + random() * 20 | 0} drop`),
        ),
      );
      await pause(1_000 + random() * 4_000);
      await lab.router.filter("");
    },
  },
  {
    name: "address",
    async happen(world) {
      world.client = await world.lab.readdress(world.client);
    },
  },
];

const CODES = ["Unavailable", "DeadlineExceeded"];

function randomEvents(time: string, forMs: number, more: Pick<Scenario, "quick" | "byHand">): Scenario {
  return {
    table: EVENTS.id,
    name: `churn of events for ${time}`,
    timeoutMs: forMs + 120_000,
    ...more,
    async run(setting) {
      const { seed } = setting;
      const random = randomFrom(seed);
      const world = await setting.world();
      const client = await world.startClient();
      const options = { ...world.options(), maxReconnectAttempts: 1_000 };
      await client.ask("dial", { address: MACHINE_NAME, options });
      await client.ask("steady", { everyMs: 50, timeoutMs: MOST_CALL_MS });
      await pause(1_000);
      const before = await client.ask("usage");
      const until = performance.now() + forMs;
      const happened: string[] = [];
      while (performance.now() < until) {
        const event = EVERY[Math.floor(random() * EVERY.length)]!;
        happened.push(event.name);
        await event.happen(world, client, random);
        // Sometimes the next event comes before the channel has recovered.
        await pause(500 + random() * 5_000);
      }
      const story = `seed ${seed}: ${happened.join(", ")}`;
      await client.ask("recover", { timeoutMs: 60_000 }, 90_000);
      const { outcomes, events }: { outcomes: Outcome[]; events: { type: string }[] } = await client.ask(
        "outcomes",
        {},
        MOST_CALL_MS + 20_000,
      );
      must(await client.ask("state") === "connected", `${story}: the channel is not connected`);
      const failed = outcomes.filter(({ code }) => code !== undefined);
      const strange = failed.filter(({ code }) => !CODES.includes(code!)).map(({ code }) => code);
      must(strange.length === 0, `${story}: calls failed with ${strange.join(", ")}`);
      const late = outcomes.filter(({ madeMs, endedMs }) => endedMs - madeMs > MOST_CALL_MS + 10_000);
      must(late.length === 0, `${story}: ${late.length} calls ended long after their deadlines`);
      // Connections that were replaced are closed by now, or soon.
      let after = await client.ask("usage");
      for (let looks = 0; looks < 20 && after.peers > 1; looks++) {
        await pause(500);
        after = await client.ask("usage");
      }
      must(after.peers === 1, `${story}: ${after.peers} peer connections`);
      const descriptors = after.descriptors - before.descriptors;
      must(descriptors <= MOST_MORE_DESCRIPTORS, `${story}: ${descriptors} more descriptors`);
      const replaced = events.filter(({ type }) => type === "disconnected").length;
      return [
        String(seed),
        String(happened.length),
        `${failed.length} of ${outcomes.length} failed`,
        `${replaced + 1}`,
        await leave(client),
      ];
    },
  };
}

/** Idle connections to the signaling server, and a socket for each of the client's addresses. */
const MOST_MORE_DESCRIPTORS = 16;

export const EVENT_SCENARIOS: readonly Scenario[] = [
  randomEvents("20 s", 20_000, { quick: true }),
  randomEvents("30 minutes", 30 * 60_000, { quick: false, byHand: true }),
];
