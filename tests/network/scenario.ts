/** Scenarios, and the tables that their results go to. */

import type { Certificates } from "../certificates.ts";
import type { Program, Runtime } from "./program.ts";
import { type Make, openWorld, type World, type WorldOptions } from "./world.ts";

/** The tools of a scenario. */
export interface Setting {
  /** The runtime of the client. */
  readonly client: Runtime;
  /** The runtime of everything else. */
  readonly server: Runtime;
  readonly certificates: Certificates;
  readonly make: Make;
  /** Set in the gate, where nothing is measured for the page. */
  readonly gate: boolean;
  /** The seed of all randomness. */
  readonly seed: number;
  /** A world that is closed after the scenario. */
  world(options?: Partial<WorldOptions>): Promise<World>;
}

/** One line of a table, without the name and the runtime. */
export type Cells = readonly string[];

/** One situation on a network. */
export interface Scenario {
  /** The table that shows it. */
  readonly table: string;
  readonly name: string;
  /** Part of the gate; the others take longer. */
  readonly quick: boolean;
  /** Runs only where `--only` names it. */
  readonly byHand?: boolean;
  /** Runs on Node also; by default on Deno and Bun. */
  readonly onNode?: boolean;
  /** The bound of a run, in milliseconds. */
  readonly timeoutMs?: number;
  /** Runs against a machine on pion also, which the gate leaves out, or always; or against that alone. */
  readonly pion?: "also" | "always" | "alone";
  /** Runs it; rejects when a condition does not hold. */
  run(setting: Setting): Promise<Cells>;
}

/** A table of `docs/networks.md`. */
export interface Table {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** Headings of the columns after the name and the runtime. */
  readonly columns: readonly string[];
}

/** The result of one run of a scenario. */
export interface Outcome {
  readonly scenario: Scenario;
  readonly runtime: Runtime["name"];
  readonly make: Make;
  readonly cells: Cells;
  readonly error: Error | undefined;
  readonly seconds: number;
}

/** Runs a scenario, and closes what it has opened. */
export async function runScenario(
  scenario: Scenario,
  setting: Omit<Setting, "world">,
  timeoutMs: number,
): Promise<Outcome> {
  const began = performance.now();
  const opened: World[] = [];
  const outcome = (cells: Cells, error?: Error): Outcome => ({
    scenario,
    runtime: setting.client.name,
    make: setting.make,
    cells,
    error,
    seconds: (performance.now() - began) / 1000,
  });
  const bound = Promise.withResolvers<never>();
  const timer = setTimeout(() => bound.reject(new Error(`not done after ${timeoutMs} ms`)), timeoutMs);
  try {
    const cells = scenario.run({
      ...setting,
      async world(options = {}) {
        const world = await openWorld({ ...setting, ...options });
        opened.push(world);
        return world;
      },
    });
    cells.catch(() => {});
    return outcome(await Promise.race([cells, bound.promise]));
  } catch (error) {
    return outcome([], error instanceof Error ? error : new Error(String(error)));
  } finally {
    clearTimeout(timer);
    for (const world of opened) await world[Symbol.asyncDispose]();
  }
}

/** Closes the client's channel, ends the client, and returns what it leaves behind. */
export async function leave(client: Program): Promise<string> {
  const { peers } = await client.ask("close");
  const { code, lingeredMs } = await client.end();
  const left = [
    ...peers === 0 ? [] : [`${peers} peer connections`],
    ...code === 0 ? [] : [`exit code ${code}`],
    ...lingeredMs < 3_000 ? [] : [`a process that lingers for ${lingeredMs.toFixed(0)} ms`],
  ];
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  return "nothing";
}

/** The median of some values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** A time in milliseconds or seconds, rounded to what is significant. */
export function duration(milliseconds: number): string {
  return milliseconds < 1_000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}

/** Throws when a condition does not hold. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** The machines that a scenario runs against; in the gate, or for the page. */
export function makesOf({ quick, pion }: Scenario, gate: boolean): readonly Make[] {
  const inGate = gate && !quick ? [] : pion === "alone" ? ["pion" as const] : ["embedded" as const];
  const isAlso = inGate.length > 0 && (pion === "always" || (pion === "also" && !gate));
  return isAlso ? [...inGate, "pion"] : inGate;
}
