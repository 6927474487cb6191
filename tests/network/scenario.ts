/** What a scenario is, and how what came of it is written down. */

import type { Certificates } from "../certificates.ts";
import type { Program, Runtime } from "./program.ts";
import { openWorld, type World, type WorldOptions } from "./world.ts";

/** What a scenario runs with. */
export interface Setting {
  /** Runs the client. */
  readonly client: Runtime;
  /** Runs everything else. */
  readonly server: Runtime;
  readonly certificates: Certificates;
  /** What chance is made of. */
  readonly seed: number;
  /** A world that is closed after the scenario. */
  world(options?: Partial<WorldOptions>): Promise<World>;
}

/** One line of a table, without the name and the runtime. */
export type Cells = readonly string[];

/** One thing that can happen on a network. */
export interface Scenario {
  /** The table it stands in. */
  readonly table: string;
  readonly name: string;
  /** Runs in every check of a change, too; others take longer. */
  readonly quick: boolean;
  /** Rejects when what must hold does not. */
  run(setting: Setting): Promise<Cells>;
}

/** A table of `docs/networks.md`. */
export interface Table {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** Heads of the columns after the name and the runtime. */
  readonly columns: readonly string[];
}

/** What one run of a scenario came to. */
export interface Outcome {
  readonly scenario: Scenario;
  readonly runtime: string;
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

/** Closes the client's channel and ends it, and says what it leaves behind. */
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

/** Milliseconds or seconds, rounded to what can be told. */
export function duration(milliseconds: number): string {
  return milliseconds < 1_000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}

/** Rejects when something does not hold. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
