/** Scenarios in which machines are found by name on the local network. */

import { makeCertificates } from "../certificates.ts";
import { startProgram } from "./program.ts";
import { duration, leave, must, type Scenario, type Table } from "./scenario.ts";
import { MACHINE_NAME } from "./world.ts";

export const LAN: Table = {
  id: "lan",
  title: "By name on the local network",
  text: "The machine answers to its name by multicast DNS, and its certificate is verified against that " +
    "name. Where the dial could also go through a signaling server, the time of that path alone is " +
    "given.",
  columns: ["dialed in", "over", "what was seen", "left behind"],
};

interface TimelineLine {
  readonly phase: string;
  readonly detail: string;
}

/** The remarks of the timeline about the local network. */
function mdnsLine(timeline: readonly TimelineLine[]): string {
  return timeline.find(({ phase }) => phase === "mdns")?.detail ?? "";
}

/** Lets in multicast DNS and answers only: a host must be asked before it can be reached. */
const ONLY_ANSWERS = [
  "add table ip own",
  "add chain ip own in { type filter hook input priority 0; }",
  "add rule ip own in ct state established accept",
  "add rule ip own in udp dport 5353 accept",
  "add rule ip own in meta l4proto udp drop",
].join("; ");

const DASHED = MACHINE_NAME.replaceAll(".", "-");

function alone(name: string, quick: boolean, dialed: string, webrtc: boolean, advertised: string): Scenario {
  return {
    table: LAN.id,
    name,
    quick,
    async run(setting) {
      const { cert, key } = setting.certificates;
      const world = await setting.world({
        lan: "alone",
        machineOptions: { tls: { cert, key }, webrtc, mdns: [advertised] },
      });
      const client = await world.startClient();
      const { webrtc: _, ...options } = world.options() as { webrtc: object; tls: object };
      const { tookMs, path, kind, timeline } = await client.ask("dial", {
        address: dialed,
        options: dialed === MACHINE_NAME
          ? options
          : { ...options, tls: { ...options.tls, serverName: MACHINE_NAME } },
      });
      must(kind === (webrtc ? "webrtc" : "direct"), `the channel is ${kind}`);
      must(path.remote.startsWith("192.168.77.3:"), `the machine is at ${path.remote}`);
      must(/is on the local network at 192\.168\.77\.3:/.test(mdnsLine(timeline)), mdnsLine(timeline));
      must((await client.ask("kinds")).length === 4, "not every kind of call worked");
      return [duration(tookMs), kind === "webrtc" ? "WebRTC" : "direct", path.kind, await leave(client)];
    },
  };
}

export const LAN_SCENARIOS: readonly Scenario[] = [
  alone("no way to the internet, WebRTC", true, MACHINE_NAME, true, MACHINE_NAME),
  alone("no way to the internet, a machine without WebRTC", true, MACHINE_NAME, false, MACHINE_NAME),
  alone("no way to the internet, advertised with dashes", false, MACHINE_NAME, true, DASHED),
  alone("no way to the internet, dialed with dashes", false, DASHED, true, MACHINE_NAME),
  {
    table: LAN.id,
    name: "with a way to the internet",
    quick: true,
    async run(setting) {
      const { cert, key } = setting.certificates;
      const world = await setting.world({
        lan: "with a router",
        machineOptions: { tls: { cert, key }, mdns: [MACHINE_NAME] },
      });
      const client = await world.startClient();
      const { tookMs, kind, timeline } = await client.ask("dial", {
        address: MACHINE_NAME,
        options: world.options(),
      });
      must(kind === "webrtc", `the channel is ${kind}`);
      must((await client.ask("kinds")).length === 4, "not every kind of call worked");
      const local = timeline.some(({ phase, detail }: TimelineLine) =>
        phase === "channel" && detail.startsWith("on the local network: open")
      );
      return [
        duration(tookMs),
        "WebRTC",
        local ? "the machine signaled" : "the cloud signaled",
        await leave(client),
      ];
    },
  },
  {
    table: LAN.id,
    name: "candidates with names instead of addresses, and a filter that lets in answers only",
    quick: true,
    async run(setting) {
      const world = await setting.world({
        lan: "with a router",
        machineOptions: { webrtc: false },
        answers: false,
      });
      await using hidden = await startProgram(world.machine, setting.server, "hidden", world.answersFor());
      await world.client.filter(ONLY_ANSWERS);
      const client = await world.startClient();
      const options = world.options();
      const { tookMs, path } = await client.ask("dial", { address: MACHINE_NAME, options });
      must(await hidden.ask("hidden") > 0, "no address was hidden");
      must((await client.ask("kinds")).length === 4, "not every kind of call worked");
      const behind = await leave(client);
      const blind = await world.startClient();
      const { phase } = await blind.ask("dialInVain", {
        address: MACHINE_NAME,
        options: { ...options, mdns: false, timeoutMs: 3_000 },
      });
      must(phase === "channel", `without the names it failed in phase ${phase}`);
      return [duration(tookMs), "WebRTC", path.kind, behind];
    },
  },
  {
    table: LAN.id,
    name: "a stale answer: the machine is gone",
    quick: true,
    async run(setting) {
      const world = await setting.world({ lan: "with a router" });
      const stale = { names: [MACHINE_NAME], port: 8080, webrtc: true, address: "192.168.77.99" };
      const without: number[] = [], beside: number[] = [];
      let seen = "";
      await using _ = await startProgram(world.machine, setting.server, "stale", stale);
      for (let round = 0; round < 3; round++) {
        for (const [mdns, times] of [[false, without], [true, beside]] as const) {
          const client = await world.startClient();
          const options = { ...world.options(), mdns };
          const { tookMs, timeline } = await client.ask("dial", { address: MACHINE_NAME, options });
          times.push(tookMs);
          if (mdns && seen === "") seen = mdnsLine(timeline);
          await leave(client);
        }
      }
      must(/192\.168\.77\.99/.test(seen), `the answer was not seen: ${seen}`);
      const withoutMs = Math.min(...without), costMs = Math.min(...beside) - withoutMs;
      // 300 ms from the answer on, and the random difference between dials, which grows with the time they take.
      must(
        costMs < 300 + Math.max(100, withoutMs / 2),
        `it cost ${costMs.toFixed(0)} ms, beside dials of ${withoutMs.toFixed(0)} ms`,
      );
      return [
        `${duration(Math.min(...beside))} (without it ${duration(Math.min(...without))})`,
        "WebRTC",
        "the cloud signaled",
        "nothing",
      ];
    },
  },
  {
    table: LAN.id,
    name: "an impostor, whose certificate is for another name",
    quick: true,
    async run(setting) {
      const other = await makeCertificates({ names: ["impostor.example"] });
      try {
        const world = await setting.world({
          lan: "alone",
          machineOptions: { tls: { cert: other.cert, key: other.key }, mdns: [MACHINE_NAME] },
        });
        const client = await world.startClient();
        const { webrtc: _, ...options } = world.options() as { webrtc: object; tls: object };
        const failed = await client.ask("dialInVain", {
          address: MACHINE_NAME,
          options: { ...options, tls: { ca: `${setting.certificates.ca}${other.ca}` }, timeoutMs: 10_000 },
        });
        const { grpc, webrtc, "grpc-web": web } = await world.machineProgram.ask("calls");
        must(grpc + webrtc + web === 0, "the impostor was called");
        await leave(client);
        return [`refused in ${duration(failed.tookMs)}`, "", failed.name, "nothing"];
      } finally {
        await other.remove();
      }
    },
  },
  {
    table: LAN.id,
    name: "without `--allow-sys=networkInterfaces`",
    quick: true,
    async run(setting) {
      const world = await setting.world({ lan: "with a router", machineOptions: { mdns: [MACHINE_NAME] } });
      const client = await world.startClient(["--allow-net", "--allow-ffi", "--allow-read"]);
      const { tookMs, timeline } = await client.ask("dial", {
        address: MACHINE_NAME,
        options: world.options(),
      });
      const line = mdnsLine(timeline);
      const skipped = /needs --allow-sys=networkInterfaces/.test(line);
      must(skipped === (setting.client.name === "deno"), `the timeline says: ${line}`);
      must((await client.ask("kinds")).length === 4, "not every kind of call worked");
      return [
        duration(tookMs),
        "WebRTC",
        skipped ? "mDNS skipped" : "no such permission",
        await leave(client),
      ];
    },
  },
];
