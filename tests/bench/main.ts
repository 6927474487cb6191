/**
 * Measures our paths beside their floors and beside connect-node, on Deno and on Bun, against the Go peer in another
 * process: interleaved rounds, medians, ratios first. `deno task bench [--rounds N]`
 */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { arch, cpus, platform } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { startGoMachine } from "../interop/go_machine.ts";
import type { Figures } from "./subject.ts";

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: { rounds: { type: "string", default: "5" } },
});
const program = fileURLToPath(new URL("rounds.ts", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));

const runtimes: Record<string, readonly string[]> = {
  deno: [process.execPath, "run", "--allow-all", "--no-check", program],
  bun: ["npx", "-y", "bun@1.4.5", program],
};

/** Ratios that are promised, and how far they may go. */
const targets: readonly [
  title: string,
  figure: keyof Figures,
  subject: string,
  peer: string,
  target: string,
][] = [
  ["direct latency / connect-node", "p50", "direct", "connect-node", "at most 0.75"],
  ["direct rate / connect-node", "rate", "direct", "connect-node", "at least 1.4"],
  ["direct latency / hand-framed fetch", "p50", "direct", "hand-framed fetch", ""],
  ["direct rate / hand-framed fetch", "rate", "direct", "hand-framed fetch", ""],
  ["WebRTC latency / raw frames", "p50", "webrtc", "raw frames", "at most 1.2"],
  ["WebRTC rate / raw frames", "rate", "webrtc", "raw frames", ""],
];

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

const results: Record<string, Record<string, Figures[]>> = {};
for (const [runtime, [command, ...args]] of Object.entries(runtimes)) {
  await using machine = await startGoMachine();
  const { stdout } = await promisify(execFile)(command!, [...args, machine.address, values.rounds], {
    cwd: root,
    maxBuffer: 1 << 24,
  });
  const figures = JSON.parse(stdout.trim().split("\n").at(-1)!) as Record<string, Figures[]>;
  results[runtime] = figures;
  console.log(`\n${runtime}, ${values.rounds} rounds, ratios round by round`);
  for (const [title, figure, subject, peer, target] of targets) {
    const ratios = figures[subject]!.map((round, index) => round[figure] / figures[peer]![index]![figure]);
    const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
    console.log(`  ${title.padEnd(36)} ${median(ratios).toFixed(2)}  (${spread})  ${target}`);
  }
  for (const [name, list] of Object.entries(figures)) {
    const p50 = median(list.map((round) => round.p50)).toFixed(0).padStart(6);
    const rate = median(list.map((round) => round.rate)).toFixed(0).padStart(7);
    console.log(`  ${name.padEnd(20)} p50 ${p50} µs   32 in flight ${rate} calls/s`);
  }
}

const folder = new URL("results/", import.meta.url);
await mkdir(folder, { recursive: true });
const written = new Date().toISOString();
const machineKind = { platform: platform(), arch: arch(), cores: cpus().length };
await writeFile(
  new URL(`${written.replaceAll(":", "-")}.json`, folder),
  JSON.stringify({ written, ...machineKind, results }, null, 2),
);
