/** Scenarios of the time that dials take, in round trips where the network takes most of it, against targets. */

import type { LinkShape } from "./link.ts";
import type { Program } from "./program.ts";
import { type Cells, leave, median, must, type Scenario, type Setting, type Table } from "./scenario.ts";
import { bothWays, CLIENT, forwarding, type World, type WorldOptions } from "./world.ts";

export const DIALS: Table = {
  id: "dials",
  title: "What a dial costs",
  text:
    `Each figure is the median of ten dials with an API key, in a process that has dialed before; in brackets, of the first dials of
ten processes. The machine is on pion and offers its loopback address, as Viam machines do. On a network with a delay,
times are given in round trips between client and machine.

A process's first dial over WebRTC takes longer: it loads modules, and it asks for the ICE servers, which later dials
remember. A first dial over TLS takes one more round trip on Deno. Its ClientHello of 231 bytes lists X25519MLKEM768, but
has a key share of X25519 alone. The machine, written in Go, prefers the former and asks for it by a HelloRetryRequest of
93 bytes, as the trace of packets shows. Deno does not let a program choose its key shares.

A redial uses the signaling connection of the dial before it. \`Call\` takes 1.1 round trips; ICE, DTLS and SCTP take 5.2.

Viam's own clients were measured in the same networks, once and by hand. Round trips over TLS are in the order of the
table.

- Go: 240 ms without a delay, 1,020 ms for one dial in ten; 15.8 round trips beside cards that lead nowhere; over TLS 3.1;
  5.1; (5.1) directly, and 13.3; (13.4) over WebRTC.
- Python: 215 ms without a delay; 15.6 round trips beside cards that lead nowhere; over TLS 5.2; 6.3; (7.7) directly, and
  13.4; (13.3) over WebRTC.`,
  columns: ["target", "measured", "misses the target by", "left behind"],
};

const TIMES = 10;

/** A time that a row gives, and its target, in milliseconds or round trips. */
interface Figure {
  readonly target: number;
  readonly measured: number;
  /** In brackets: of a process's first dial. */
  readonly first?: boolean;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.ceil(share * sorted.length) - 1]!;
}

/** Time above the target that a busy computer may take, in milliseconds. */
const BUSY_MS = 1_000;

/**
 * Writes the cells of a row. A time of more than twice the target is a failure, unless it is short.
 *
 * @param roundTripMs The length of a round trip, where that is the unit.
 */
function row(figures: readonly Figure[], roundTripMs: number | undefined, left: string): Cells {
  const unit = roundTripMs ?? 1;
  const digits = roundTripMs === undefined ? 0 : 1;
  const list = (show: (figure: Figure) => string) =>
    figures.map((figure) => figure.first === true ? `(${show(figure)})` : show(figure)).join("; ");
  const ofUnit = roundTripMs === undefined ? " ms" : " round trips";
  const targets = list(({ target }) => String(target));
  const measured = list(({ measured }) => (measured / unit).toFixed(digits));
  for (const { target, measured: time } of figures) {
    must(
      time <= target * unit + Math.max(target * unit, BUSY_MS),
      `${measured} instead of ${targets}${ofUnit}`,
    );
  }
  const missed = figures.map(({ target, measured: time }) => time / (target * unit) - 1).filter((share) =>
    share > 0
  );
  const by = missed.length === 0 ? "–" : `${Math.ceil(100 * Math.max(...missed))} %`;
  return [targets + ofUnit, measured + ofUnit, by, left];
}

interface Measured {
  readonly dialMs: readonly number[];
  readonly answerMs: readonly number[];
  readonly failures: readonly string[];
}

async function dials(client: Program, world: World, options: object, more: object): Promise<Measured> {
  const measured: Measured = await client.ask(
    "dialInTurn",
    { address: world.address, options: { ...world.options(), ...options }, ...more },
    250_000,
  );
  must(measured.failures.length === 0, `${measured.failures.length} dials failed: ${measured.failures[0]}`);
  return measured;
}

/** The first dials of several processes. */
async function firstDials(world: World, options: object, count: number): Promise<Measured> {
  const all: Measured[] = [];
  for (let number = 0; number < count; number++) {
    const client = await world.startClient();
    all.push(await dials(client, world, options, { count: 1, call: true }));
    await leave(client);
  }
  return {
    dialMs: all.flatMap(({ dialMs }) => dialMs),
    answerMs: all.flatMap(({ answerMs }) => answerMs),
    failures: [],
  };
}

async function slow(world: World, shape: LinkShape): Promise<void> {
  await (await world.lab.link(world.client)).shape(shape);
}

const CALMLY = { timeoutMs: 30_000 };

/** A row with the medians of dials, and perhaps of first answers and of first dials. */
function timed(
  network: string,
  figure: string,
  quick: boolean,
  options: Partial<WorldOptions>,
  dial: object,
  roundTripMs: number | undefined,
  targets: { readonly dial: number; readonly answer?: number; readonly first?: number },
  prepare: (world: World) => Promise<void>,
): Scenario {
  return {
    table: DIALS.id,
    name: `${network}: ${figure}`,
    quick,
    pion: "alone",
    async run(setting: Setting) {
      const world = await setting.world(options);
      await prepare(world);
      const client = await world.startClient();
      const given = { ...CALMLY, ...dial };
      const measured = await dials(client, world, given, { warmUp: 1, count: TIMES, call: true });
      const left = await leave(client);
      const figures: Figure[] = [{ target: targets.dial, measured: median(measured.dialMs) }];
      if (targets.answer !== undefined) {
        figures.push({ target: targets.answer, measured: median(measured.answerMs) });
      }
      if (targets.first !== undefined) {
        const first = await firstDials(world, given, TIMES);
        const times = targets.answer === undefined ? first.dialMs : first.answerMs;
        figures.push({ target: targets.first, measured: median(times), first: true });
      }
      return row(figures, roundTripMs, left);
    },
  };
}

/** Adds a network card that leads nowhere. */
async function addCard(
  world: World,
  host: "client" | "machine",
  name: string,
  address: string,
): Promise<void> {
  const { run } = world[host];
  await run("ip", "link", "add", name, "type", "veth", "peer", "name", `${name}-end`);
  for (const device of [name, `${name}-end`]) await run("ip", "link", "set", device, "up");
  await run("ip", "address", "add", address, "dev", name);
}

const VPN = "192.168.50.2";

/** Both ends have a container bridge, the machine two addresses of VPNs, the client a network without a way out. */
async function addUselessCards(world: World): Promise<void> {
  for (const host of ["client", "machine"] as const) await addCard(world, host, "docker0", "172.17.0.1/16");
  await addCard(world, "machine", "vpn0", `${VPN}/24`);
  await addCard(world, "machine", "vpn1", "100.64.0.2/10");
  await addCard(world, "client", "lan0", "192.168.77.5/24");
}

/** Leaves one address of the machine reachable over UDP: that of its first VPN. */
async function reachByVpnOnly(world: World): Promise<void> {
  const { router } = world.lab;
  await router.run("ip", "route", "add", `${VPN}/32`, "via", world.machine.address);
  await router.filter(
    forwarding(...bothWays(CLIENT, `meta l4proto udp ip daddr ${world.machine.address} drop`)),
  );
}

const MANY = 2_000;

const many: Scenario = {
  table: DIALS.id,
  name: `no delay: WebRTC, ${MANY} dials, 99 of 100 within 6 medians`,
  quick: false,
  pion: "alone",
  async run(setting) {
    const world = await setting.world({ alone: "plaintext" });
    const client = await world.startClient();
    const { dialMs } = await dials(client, world, CALMLY, { warmUp: 1, count: MANY });
    const target = Math.round(6 * median(dialMs));
    return row([{ target, measured: quantile(dialMs, 0.99) }], undefined, await leave(client));
  },
};

const besideAborting: Scenario = {
  table: DIALS.id,
  name: "no delay: WebRTC, 99 of 100, beside 20 clients that dial once a second and abort after 0 to 200 ms",
  quick: false,
  pion: "alone",
  async run(setting) {
    const world = await setting.world({ alone: "plaintext" });
    const client = await world.startClient(), rude = await world.startClient();
    const options = { ...world.options(), ...CALMLY };
    const aborting = {
      address: world.address,
      options,
      clients: 20,
      everyMs: 1_000,
      withinMs: 200,
      forMs: 20_000,
    };
    const aborted = rude.ask("abortDials", aborting, 60_000);
    aborted.catch(() => {});
    const honest: number[] = [];
    const until = performance.now() + aborting.forMs;
    while (performance.now() < until) {
      honest.push(...(await dials(client, world, CALMLY, { count: 1 })).dialMs);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    must((await aborted).aborted > 0, "no dial was aborted");
    await leave(rude);
    return row([{ target: 1_000, measured: quantile(honest, 0.99) }], undefined, await leave(client));
  },
};

const redial: Scenario = {
  table: DIALS.id,
  name: "TLS, 100 ms there and back: WebRTC, redial by the channel itself",
  quick: false,
  pion: "alone",
  async run(setting) {
    const world = await setting.world({ alone: "TLS" });
    await slow(world, { delayMs: 50 });
    const client = await world.startClient();
    await client.ask("dial", { address: world.address, options: { ...world.options(), ...CALMLY } });
    const times: number[] = [];
    for (let time = 0; time < TIMES; time++) {
      const took = client.ask("reconnection");
      took.catch(() => {});
      await client.ask("echo", {});
      await world.machineProgram.ask("drop");
      times.push(await took);
    }
    return row([{ target: 6.5, measured: median(times) }], 100, await leave(client));
  },
};

const TLS = { alone: "TLS" } as const, PLAINTEXT = { alone: "plaintext" } as const;
const far = (world: World) => slow(world, { delayMs: 50 });

export const DIAL_SCENARIOS: readonly Scenario[] = [
  timed("no delay", "WebRTC", true, PLAINTEXT, {}, undefined, { dial: 60 }, async () => {}),
  timed(
    "50 ms there and back, and cards that lead nowhere",
    "WebRTC",
    true,
    PLAINTEXT,
    {},
    50,
    { dial: 13.2 },
    async (world) => {
      await addUselessCards(world);
      await slow(world, { delayMs: 25 });
    },
  ),
  timed(
    "the same, and the only way is by a VPN's address",
    "WebRTC",
    false,
    PLAINTEXT,
    {},
    50,
    { dial: 16 },
    async (world) => {
      await addUselessCards(world);
      await reachByVpnOnly(world);
      await slow(world, { delayMs: 25 });
    },
  ),
  many,
  besideAborting,
  timed(
    "TLS, 100 ms there and back",
    "direct; to the first answer; (the same of a process's first dial)",
    false,
    TLS,
    { disableWebrtc: true },
    100,
    { dial: 3.3, answer: 4.4, first: 5.4 },
    far,
  ),
  timed("TLS, 100 ms there and back", "WebRTC", false, TLS, {}, 100, { dial: 10, first: 11.5 }, far),
  redial,
  timed(
    "TLS; client to cloud 50 ms, machine to cloud 30, client to machine 20, there and back",
    "WebRTC",
    false,
    {},
    {},
    undefined,
    { dial: 420 },
    async (world) => {
      await slow(world, { delayMs: 10 });
      await (await world.lab.link(world.signaling)).shape({ delayMs: 15 });
    },
  ),
];
