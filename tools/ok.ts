/** The gate: everything that must hold before a change lands. `deno task ok` */

import { bunPath, installPackages, nodePath, run } from "./commands.ts";
import { runPool } from "./pool.ts";

interface Step {
  readonly name: string;
  /** Arguments for Deno. */
  readonly args: readonly string[];
  /** The advice for its failure. */
  readonly cure: string;
  /** The name of a step of the same stage that has to pass first. */
  readonly after?: string;
  /** Shows what it writes at once, not when it ends. */
  readonly live?: boolean;
  readonly env?: Record<string, string>;
}

const tool = (name: string, ...args: string[]) => ["run", "--allow-all", `tools/${name}.ts`, ...args];

/** Steps of a stage run beside each other; a stage begins when all of the one before have passed. */
const STAGES: readonly (readonly Step[])[] = [
  [
    { name: "format", args: ["fmt", "--check"], cure: "run `deno fmt`" },
    { name: "lint", args: ["lint"], cure: "fix what is listed" },
  ],
  [
    { name: "conformance suite", args: tool("conformance", "--prepare"), cure: "install go 1.26 or newer" },
    {
      name: "documentation",
      args: tool("docs"),
      cure: "document what is listed, export each type that a documented one names, fix the examples",
    },
    {
      name: "types",
      args: ["check", "--frozen", "--quiet"],
      cure: "fix what is listed; if deno.lock is out of date, run `deno install` and commit it",
      after: "conformance suite",
    },
    {
      name: "generated code",
      args: tool("gen", "--check"),
      cure: "run `deno task gen` and commit what it writes",
      after: "conformance suite",
    },
    { name: "publishing", args: ["publish", "--dry-run", "--allow-dirty"], cure: "fix what is listed" },
    {
      name: "programs for the tests",
      args: tool("test", "--prepare"),
      cure: "install what is missing: go 1.26 or newer, and python3 3.10 or newer with its venv module",
      env: { REQUIRE_INTEROP: "1" },
    },
  ],
  [
    {
      name: "tests",
      args: tool("test"),
      cure: "fix what is listed as failed",
      env: { REQUIRE_INTEROP: "1" },
      live: true,
    },
  ],
  [
    {
      name: "networks",
      // A developer's machine is not changed, and need not be able to.
      args: tool("network", "--ci", Deno.env.has("CI") ? "--install" : "--where-possible"),
      cure: "fix what is listed; the lab needs root, and a kernel with network namespaces, nftables and TUN",
      // It measures time.
      after: "conformance",
    },
    {
      name: "conformance",
      args: tool("conformance", "--check"),
      cure:
        "fix what is listed as failed; if the report is not up to date, run `deno task conformance` and " +
        "commit it",
    },
  ],
];

/** The last line of each step that has ended. */
const lastLines = new Map<string, string>();

/** Runs a step and shows what it wrote; returns whether it passed. */
async function pass({ name, args, cure, env = {}, live = false }: Step): Promise<boolean> {
  if (live) console.log(`\n== ${name}: deno ${args.join(" ")}`);
  const started = performance.now();
  const { ok, reason, output } = await run(Deno.execPath(), args, { env, output: live ? "tee" : "keep" });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (!live) console.log(`\n== ${name}: deno ${args.join(" ")}\n${output.trimEnd()}`);
  if (ok) console.log(`== ${name}: passed in ${seconds} s`);
  else console.error(`== ${name}: FAILED after ${seconds} s (${reason}); ${cure}`);
  lastLines.set(name, output.trimEnd().split("\n").at(-1)!);
  return ok;
}

/** Adds up the steps that end with a sum of tests. */
function sum(): string | undefined {
  const total = { passed: 0, failed: 0, skipped: 0 };
  const sums = [...lastLines.values()].map((line) =>
    /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line)
  )
    .filter((match) => match !== null);
  if (sums.length === 0) return undefined;
  for (const [, passed, failed, skipped = 0] of sums) {
    total.passed += Number(passed);
    total.failed += Number(failed);
    total.skipped += Number(skipped);
  }
  const { passed, failed, skipped } = total;
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

/** Runs the steps of a stage; once one has failed, no other starts. Returns whether all passed. */
async function passStage(steps: readonly Step[]): Promise<boolean> {
  const ended = new Map(steps.map(({ name }) => [name, Promise.withResolvers<void>()]));
  let ok = true;
  const jobs = steps.map((step) => ({
    after: step.after === undefined ? undefined : ended.get(step.after)!.promise,
    async run() {
      if (ok && !await pass(step)) ok = false;
      ended.get(step.name)!.resolve();
    },
  }));
  await runPool(jobs, navigator.hardwareConcurrency);
  return ok;
}

// Once, before steps that want them at the same time.
const [bun] = await Promise.all([bunPath(), nodePath()]);
await installPackages(bun);

let ok = true;
for (const stage of STAGES) {
  ok = await passStage(stage);
  if (!ok) break;
}
for (const line of [lastLines.get("conformance"), sum()]) if (line !== undefined) console.log(line);
if (!ok) Deno.exit(1);
