import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { openLab, sweep } from "../network/lab.ts";
import { startGoMachine } from "../network/program.ts";
import { extendPath, missing } from "../network/requirements.ts";
import { add, median, quantile, type Samples } from "./samples.ts";
import type { Answer, Command, Target } from "./subject.ts";
import { type Runtime, type Runtimes, Worker } from "./worker_process.ts";

/** The setup of every group. */
export interface Bench {
  readonly runtimes: Runtimes;
  readonly rounds: number;
  readonly samples: Samples;
  readonly clear: Target;
  readonly secure: Target;
  /** A Go peer that wants an API key, which is in the target. */
  readonly keyed: Target;
  /** An embedded machine. */
  readonly embedded: Target;
  readonly log: (text: string) => void;
}

export const SIZES: readonly number[] = [64, 1_024, 65_536, 1_048_576];
export const IN_FLIGHT: readonly number[] = [1, 32, 256];
const OURS: readonly Runtime[] = ["deno", "bun"];
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Entry {
  readonly name: string;
  readonly worker: Worker;
}

/** Opens every subject that makes calls, each in a process of its own. */
async function openAll(bench: Bench): Promise<Entry[]> {
  const { runtimes, clear, secure, embedded } = bench;
  const wanted: [Runtime, string, Target, string?][] = [];
  for (const runtime of OURS) {
    wanted.push(
      [runtime, "direct", clear],
      [runtime, "hand-framed fetch", clear],
      [runtime, "bare node:http2", clear],
      [runtime, "connect-node", clear],
      [runtime, "webrtc", clear],
      [runtime, "raw frames", clear],
      [runtime, "direct", secure, "direct, TLS"],
      [runtime, "hand-framed fetch, HTTP/2", secure, "hand-framed fetch, TLS"],
      [runtime, "bare node:http2", secure, "bare node:http2, TLS"],
      [runtime, "connect-node", secure, "connect-node, TLS"],
      [runtime, "direct", embedded, "direct, embedded machine"],
      [runtime, "webrtc", embedded, "webrtc, embedded machine"],
    );
  }
  wanted.push(["deno", "hand-framed fetch, HTTP/2", clear], ["node", "grpc-js", clear]);
  wanted.push(["python", "direct", clear], ["python", "webrtc", clear]);
  const entries: Entry[] = [];
  for (const [runtime, subject, target, title] of wanted) {
    const worker = new Worker(runtimes, runtime, subject);
    const name = `${runtime}/${title ?? subject}`;
    const { ok, error } = await worker.do({ op: "open", target });
    if (ok) entries.push({ name, worker });
    else {
      bench.log(`${name}: ${error}`);
      await worker.close();
    }
  }
  return entries;
}

/** Sends one command to every subject in turn, once a round: A, B, C, A, B, C … */
async function inRounds(
  bench: Bench,
  entries: readonly Entry[],
  prefix: string,
  command: (entry: Entry) => Command,
): Promise<void> {
  for (let round = 0; round < bench.rounds; round++) {
    for (const entry of entries) note(bench, entry.name, prefix, await entry.worker.do(command(entry)));
  }
}

function note({ samples, log }: Bench, name: string, prefix: string, answer: Answer): void {
  if (!answer.ok) log(`${name}, ${prefix}: ${answer.error}`);
  // A failed round keeps its place, so that ratios compare figures of the same round.
  else if (answer.figures !== undefined) return add(samples, name, prefix, { ...answer.figures });
  const known = Object.keys(samples[name] ?? {}).filter((figure) => figure.startsWith(`${prefix}.`));
  for (const figure of known) samples[name]![figure]!.push(NaN);
}

async function withSubjects(bench: Bench, use: (entries: Entry[]) => Promise<void>): Promise<void> {
  const entries = await openAll(bench);
  try {
    await use(entries);
  } finally {
    await Promise.all(entries.map(({ worker }) => worker.close()));
  }
}

/** Duration of one measurement of unary calls, in seconds. */
const UNARY_SECONDS = 0.25;

async function unary(bench: Bench): Promise<void> {
  await withSubjects(bench, async (entries) => {
    // Compilers need some thousand calls to finish.
    for (const { worker } of entries) await worker.do({ op: "unary", size: 64, calls: 8_000, inFlight: 32 });
    for (const inFlight of IN_FLIGHT) {
      const calls = new Map<string, number>();
      for (const { name, worker } of entries) {
        const { figures } = await worker.do({ op: "unary", size: 64, calls: inFlight * 4 + 100, inFlight });
        calls.set(name, Math.ceil(Math.max(inFlight * 4, 200, (figures?.["rate"] ?? 0) * UNARY_SECONDS)));
      }
      await inRounds(
        bench,
        entries,
        `unary ${inFlight}`,
        ({ name }) => ({ op: "unary", size: 64, calls: calls.get(name)!, inFlight }),
      );
    }
  });
}

/**
 * Duration of one measurement of a stream, in seconds: long enough for a stable figure, short enough for all of them.
 */
const STREAM_SECONDS = 0.12;

async function streams(bench: Bench, kind: "download" | "upload" | "exchange"): Promise<void> {
  await withSubjects(bench, async (entries) => {
    for (const size of SIZES) {
      const counts = new Map<string, number>();
      for (const { name, worker } of entries) {
        const first = Math.max(4, Math.min(200, Math.floor(2e6 / size)));
        const { figures } = await worker.do({ op: "stream", kind, size, count: first });
        const rate = figures?.["messages"] ?? 0;
        counts.set(name, Math.max(4, Math.ceil(rate * STREAM_SECONDS)));
      }
      const able = entries.filter(({ name }) => counts.get(name)! > 0);
      await inRounds(
        bench,
        able,
        `${kind} ${size}`,
        ({ name }) => ({ op: "stream", kind, size, count: counts.get(name)! }),
      );
    }
  });
}

/** Rounds of what differs little from one to the next. */
const FEW_ROUNDS = 3;

/** The links of a comparison, by the names that their figures begin with. */
export const DISTANCES = { "loopback": undefined, "20 ms": { delayMs: 10 } } as const;

/** Dials, first answers and unary calls at a distance, and the same on loopback. */
async function distance(bench: Bench): Promise<void> {
  const problems = await missing();
  if (problems.length > 0) return bench.log(`distance: needs ${problems.join(", ")}`);
  extendPath();
  const { runtimes, samples } = bench;
  const wanted: (readonly [Runtime, string])[] = OURS.flatMap((runtime) =>
    ["direct", "hand-framed fetch", "bare node:http2", "connect-node", "webrtc", "raw frames"].map((
      subject,
    ) => [runtime, subject] as const)
  );
  wanted.push(["node", "grpc-js"], ["python", "direct"], ["python", "webrtc"]);
  await sweep();
  await using lab = await openLab();
  const client = await lab.host("client"), machine = await lab.host("machine");
  await (await lab.link(client)).shape(DISTANCES["20 ms"]);
  await using _program = await startGoMachine(machine, ["-address", "0.0.0.0:8080"]);
  const there = (command: readonly string[]) => ["ip", "netns", "exec", client.namespace, ...command];
  const far: Runtimes = {
    deno: there(runtimes.deno),
    bun: there(runtimes.bun),
    node: there(runtimes.node),
    python: there(runtimes.python),
    // Deno would look for a newer version of itself, by a name that no lab knows.
    env: { ...runtimes.env, DENO_NO_UPDATE_CHECK: "1" },
  };
  for (let round = 0; round < Math.min(bench.rounds, FEW_ROUNDS); round++) {
    for (const [runtime, subject] of wanted) {
      for (const link of ["loopback", "20 ms"] as const) {
        const isNear = link === "loopback";
        const target = isNear ? bench.clear : { address: `${machine.address}:8080` };
        const name = `${runtime}/${subject}`;
        const worker = new Worker(isNear ? runtimes : far, runtime, subject);
        note(bench, name, link, await worker.do({ op: "answer", target }));
        const { times = [] } = await worker.do({ op: "dial", target, count: 5 });
        add(samples, name, link, { redial: median(times) });
        note(bench, name, link, await worker.do({ op: "unary", size: 64, calls: 30, inFlight: 1 }));
        await worker.close();
      }
    }
  }
}

/** Dials of one process after its first: enough for the 99th percentile. */
const REDIALS = 120;

async function dial(bench: Bench): Promise<void> {
  const { runtimes, samples, rounds, clear, secure, keyed, embedded } = bench;
  const wanted: [Runtime, string, string, Target][] = OURS.flatMap((runtime) => [
    [runtime, "direct", "direct", clear],
    [runtime, "direct", "direct, TLS", secure],
    [runtime, "webrtc", "webrtc", clear],
    [runtime, "webrtc", "webrtc, with a key", keyed],
    [runtime, "webrtc", "webrtc, embedded machine", embedded],
    [runtime, "bare handshake", "bare handshake", clear],
  ]);
  wanted.push(["python", "direct", "direct", clear], ["python", "webrtc", "webrtc", clear]);
  const accessToken = await fetchToken(keyed);
  // Cold: the first dial of a process. Then, in the same processes, dial after dial.
  for (let round = 0; round < rounds; round++) {
    for (const [runtime, subject, title, target] of wanted) {
      const worker = new Worker(runtimes, runtime, subject);
      const first = await worker.do({ op: "dial", target, count: 1 });
      // Every sixth bare handshake takes a second longer.
      const redials = subject === "bare handshake" ? 40 : REDIALS;
      // A redial starts with the earlier token, as a channel's reconnect does.
      const again = target === keyed ? { address: keyed.address, accessToken } : target;
      const later = await worker.do({ op: "dial", target: again, count: redials });
      const figures = {
        first: first.times?.[0] ?? NaN,
        p50: quantile(later.times ?? [], 0.5),
        p99: quantile(later.times ?? [], 0.99),
        failures: (first.failures ?? 1) + (later.failures ?? redials),
      };
      add(samples, `${runtime}/${title}`, "dial", figures);
      await worker.close();
    }
    // A signaling round trip is a unary call: the floor of a dial includes two.
    for (const runtime of OURS) {
      const worker = new Worker(runtimes, runtime, "hand-framed fetch");
      await worker.do({ op: "open", target: clear });
      await worker.do({ op: "unary", size: 64, calls: 200, inFlight: 1 });
      const { figures } = await worker.do({ op: "unary", size: 64, calls: 300, inFlight: 1 });
      add(samples, `${runtime}/hand-framed fetch`, "signaling", { roundTrip: figures?.["p50"] ?? NaN });
      await worker.close();
    }
  }
}

async function fetchToken({ address, apiKey = "", apiKeyId = "" }: Target): Promise<string> {
  const transport = createGrpcTransport({ baseUrl: `http://${address}` });
  const credentials = { type: "api-key", payload: apiKey };
  const answer = await createClient(AuthService, transport).authenticate({ entity: apiKeyId, credentials });
  return answer.accessToken;
}

/** Back-to-back dials, for the tail of their times. */
async function tail(bench: Bench, count: number): Promise<void> {
  const { runtimes, samples, clear, embedded, log } = bench;
  for (const runtime of OURS) {
    for (const [title, target] of [["Go peer", clear], ["embedded machine", embedded]] as const) {
      const worker = new Worker(runtimes, runtime, "webrtc");
      const { times = [], failures = count, reasons = [] } = await worker.do({ op: "dial", target, count });
      for (const reason of reasons) log(`${runtime}, dials of the ${title}: ${reason}`);
      add(samples, `${runtime}/tail, ${title}`, "dial", {
        p50: quantile(times, 0.5),
        p99: quantile(times, 0.99),
        most: Math.max(...times),
        failures,
        dials: count,
      });
      await worker.close();
    }
  }
}

async function memory(bench: Bench): Promise<void> {
  const { runtimes, samples, clear } = bench;
  for (const runtime of OURS) {
    for (const subject of ["direct", "webrtc"]) {
      const name = `${runtime}/${subject}`;
      const worker = new Worker(runtimes, runtime, subject);
      const look = async () => (await worker.do({ op: "memory", collect: true })).figures ?? {};
      await worker.do({ op: "open", target: clear });
      add(samples, name, "memory", { rest: (await look())["rss"] ?? NaN });
      await worker.do({ op: "unary", size: 64, calls: 5_000, inFlight: 16 });
      const before = (await look())["heap"] ?? NaN;
      await worker.do({ op: "unary", size: 64, calls: 10_000, inFlight: 16 });
      const after = (await look())["heap"] ?? NaN;
      add(samples, name, "memory", { heapGrown: (after - before) * 1_000 });
      await worker.do({ op: "hold", target: clear, count: 99 });
      add(samples, name, "memory", { channels100: (await look())["rss"] ?? NaN });
      await worker.close();
      const redialer = new Worker(runtimes, runtime, subject);
      await redialer.do({ op: "dial", target: clear, count: 1_000 });
      const { figures } = await redialer.do({ op: "memory", collect: true });
      add(samples, name, "memory", { redials1000: figures?.["rss"] ?? NaN });
      await redialer.close();
    }
  }
}

async function cold(bench: Bench): Promise<void> {
  const { runtimes, samples, clear, rounds } = bench;
  const folder = join(ROOT, "tests/bench");
  const programs: Record<string, string> = {
    "import": `import "../../mod.ts";\n`,
    "first answer": `import { createClient } from "@connectrpc/connect";
import { dialDirect } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
const channel = await dialDirect("${clear.address}", { insecure: true });
await createClient(ProbeService, channel).echo({ data: new Uint8Array(64) });
await channel.close();
`,
    "bare fetch": `import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import "@connectrpc/connect";
import { PayloadSchema } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
const message = toBinary(PayloadSchema, create(PayloadSchema, { data: new Uint8Array(64) }));
const body = new Uint8Array([0, 0, 0, 0, message.length, ...message]);
const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
const url = "http://${clear.address}/viam_dial.probe.v1.ProbeService/Echo";
const answer = new Uint8Array(await (await fetch(url, { method: "POST", headers, body })).arrayBuffer());
fromBinary(PayloadSchema, answer.subarray(5, 5 + answer[4]!));
`,
    "nothing": "\n",
  };
  const files = Object.fromEntries(
    Object.keys(programs).map((name) => [name, join(folder, `cold_${name.replace(" ", "_")}_made.ts`)]),
  );
  try {
    for (const [name, text] of Object.entries(programs)) await writeFile(files[name]!, text);
    // The first run of each fills the runtimes' caches.
    for (let round = -1; round < Math.max(10, rounds); round++) {
      for (const runtime of OURS) {
        for (const name of Object.keys(programs)) {
          const [command, ...args] = runtimes[runtime].filter((part) => !part.startsWith("--v8-flags"));
          const start = performance.now();
          await promisify(execFile)(command!, [...args, files[name]!], { cwd: ROOT, env: runtimes.env });
          if (round >= 0) add(samples, `${runtime}/cold`, name, { ms: performance.now() - start });
        }
      }
    }
  } finally {
    await Promise.all(Object.values(files).map((file) => rm(file, { force: true })));
  }
}

export const GROWTH: Readonly<Record<"calls in flight" | "message bytes" | "channels", readonly number[]>> = {
  "calls in flight": [1, 4, 16, 64, 256, 1_024],
  "message bytes": [0, 1_024, 65_536, 1_048_576, 8_388_608, 33_554_400],
  "channels": [1, 10, 50, 100, 200],
};

async function growth(bench: Bench): Promise<void> {
  const { runtimes, clear } = bench;
  for (const runtime of OURS) {
    for (const subject of ["direct", "webrtc"]) {
      const name = `${runtime}/${subject}`;
      const worker = new Worker(runtimes, runtime, subject);
      await worker.do({ op: "open", target: clear });
      await worker.do({ op: "unary", size: 64, calls: 1_000, inFlight: 8 });
      for (const inFlight of GROWTH["calls in flight"]) {
        const calls = Math.max(500, inFlight * 4);
        const answer = await worker.do({ op: "unary", size: 64, calls, inFlight });
        note(bench, name, `calls in flight ${inFlight}`, answer);
      }
      for (const size of GROWTH["message bytes"]) {
        const calls = Math.max(3, Math.min(200, Math.floor(1e7 / (size + 1))));
        const answer = await worker.do({ op: "unary", size, calls, inFlight: 1 });
        note(bench, name, `message bytes ${size}`, answer);
      }
      await worker.close();
      const many = new Worker(runtimes, runtime, subject);
      await many.do({ op: "open", target: clear });
      let held = 1;
      for (const count of GROWTH.channels) {
        if (count > held) await many.do({ op: "hold", target: clear, count: count - held });
        held = count;
        note(
          bench,
          name,
          `channels ${count}`,
          await many.do({ op: "unary", size: 64, calls: 400, inFlight: 1 }),
        );
      }
      await many.close();
    }
  }
}

/** The groups, in the order in which they run. */
export const groups: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  unary,
  download: (bench) => streams(bench, "download"),
  upload: (bench) => streams(bench, "upload"),
  exchange: (bench) => streams(bench, "exchange"),
  dial,
  tail: (bench) => tail(bench, bench.rounds < 5 ? 100 : 2_000),
  memory,
  cold,
  growth,
  distance,
};
