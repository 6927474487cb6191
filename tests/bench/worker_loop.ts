/**
 * The loop of a worker: reads commands from its standard input, carries them out on its subject, and answers each with
 * one line.
 */

import process from "node:process";
import { createInterface } from "node:readline";
import type { Answer, Command, Subject, SubjectMaker } from "./subject.ts";

/** Serves until its input ends. */
export async function serve(maker: SubjectMaker): Promise<void> {
  let subject: Subject | undefined;
  const held: Subject[] = [];

  async function perform(command: Command): Promise<Answer> {
    switch (command.op) {
      case "open":
        await subject?.close();
        subject = await maker.open(command.target);
        return { ok: true };
      case "answer": {
        const began = performance.now();
        subject = await maker.open(command.target);
        const dial = performance.now() - began;
        await subject.unary?.(new Uint8Array(64));
        return { ok: true, figures: { dial, answer: performance.now() - began } };
      }
      case "unary": {
        const unary = subject?.unary?.bind(subject);
        return unary === undefined ? { ok: true, missing: true } : await measureUnary(unary, command);
      }
      case "stream":
        return await measureStream(subject, command);
      case "dial":
        return await measureDials(maker, command);
      case "hold":
        for (let n = 0; n < command.count; n++) held.push(await maker.open(command.target));
        return { ok: true };
      case "memory":
        return { ok: true, figures: memory(command.collect) };
      case "exit":
        await Promise.all([subject, ...held].map((one) => one?.close()));
        return { ok: true };
    }
  }

  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line) as Command;
    let answer: Answer;
    try {
      answer = await perform(command);
    } catch (error) {
      answer = { ok: false, error: String(error) };
    }
    console.log(JSON.stringify(answer));
    if (command.op === "exit") break;
  }
  process.exit(0); // some peers keep their sessions open
}

async function measureUnary(
  unary: (data: Uint8Array) => Promise<void>,
  { size, calls, inFlight }: Command & { op: "unary" },
): Promise<Answer> {
  const data = new Uint8Array(size);
  const latencies = new Float64Array(calls);
  let next = 0;
  const cpu = process.cpuUsage();
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < calls) {
      const call = next++;
      const start = performance.now();
      await unary(data);
      latencies[call] = performance.now() - start;
    }
  }));
  const elapsed = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  latencies.sort();
  return {
    ok: true,
    figures: {
      p50: latencies[Math.floor(calls * 0.5)]! * 1_000,
      p99: latencies[Math.floor(calls * 0.99)]! * 1_000,
      rate: calls / elapsed * 1_000,
      cpu: (user + system) / calls,
      rss: process.memoryUsage().rss / 1e6,
    },
  };
}

async function measureStream(
  subject: Subject | undefined,
  { kind, size, count }: Command & { op: "stream" },
): Promise<Answer> {
  if (subject?.[kind] === undefined) return { ok: true, missing: true };
  const data = new Uint8Array(size);
  const start = performance.now();
  if (kind === "download") await subject.download!(size, count);
  else await subject[kind]!(data, count);
  const seconds = (performance.now() - start) / 1_000;
  // A bidirectional stream moves as much each way; the figure is for one way.
  return { ok: true, figures: { mbps: size * count / seconds / 1e6, messages: count / seconds, seconds } };
}

async function measureDials(
  maker: SubjectMaker,
  { target, count }: Command & { op: "dial" },
): Promise<Answer> {
  const times: number[] = [];
  const reasons = new Set<string>();
  let failures = 0;
  for (let dial = 0; dial < count; dial++) {
    const start = performance.now();
    try {
      const subject = await maker.open(target);
      times.push(performance.now() - start);
      await subject.close();
    } catch (error) {
      failures++;
      reasons.add(String(error));
    }
  }
  return { ok: true, times, failures, reasons: [...reasons].slice(0, 3) };
}

function memory(collect: boolean): Record<string, number> {
  if (collect) collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss: rss / 1e6, heap: heapUsed / 1e6 };
}

function collectGarbage(): void {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  // Twice: the second run collects what finalizers released.
  for (let n = 0; n < 2; n++) Bun === undefined ? gc?.() : Bun.gc(true);
}
