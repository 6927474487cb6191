/** The gate: everything that must hold before a change lands. `deno task ok` */

import { run, type RunOptions } from "./commands.ts";

interface Step {
  readonly name: string;
  /** Arguments for Deno. */
  readonly args: readonly string[];
  /** What to do when it fails. */
  readonly cure: string;
}

const CHECKS: readonly Step[] = [
  { name: "format", args: ["fmt", "--check"], cure: "run `deno fmt`" },
  { name: "lint", args: ["lint"], cure: "mend what is listed" },
  {
    name: "conformance suite",
    args: ["run", "--allow-all", "tools/conformance.ts", "--prepare"],
    cure: "install go 1.26 or newer",
  },
  {
    name: "types",
    args: ["check", "--frozen"],
    cure: "mend what is listed; if deno.lock is out of date, run `deno install` and commit it",
  },
  {
    name: "documentation",
    args: ["run", "--allow-all", "tools/docs.ts"],
    cure: "document what is listed, export each type that a documented one names, mend the examples",
  },
  {
    name: "generated code",
    args: ["run", "--allow-all", "tools/gen.ts", "--check"],
    cure: "run `deno task gen` and commit what it writes",
  },
];

const TEST: Step = { name: "tests", args: ["task", "test"], cure: "mend what is listed as failed" };

const CONFORMANCE: Step = {
  name: "conformance",
  args: ["task", "conformance", "--check"],
  cure:
    "mend what is listed as failed; if the report is not up to date, run `deno task conformance` and commit it",
};

const PUBLISH: Step = {
  name: "publishing",
  args: ["publish", "--dry-run", "--allow-dirty"],
  cure: "mend what is listed",
};

async function pass(step: Step, options: RunOptions = {}): Promise<string> {
  console.log(`\n== ${step.name}: deno ${step.args.join(" ")}`);
  const started = performance.now();
  const { ok, reason, output } = await run(Deno.execPath(), step.args, options);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (ok) {
    console.log(`== ${step.name}: passed in ${seconds} s`);
    return output;
  }
  console.error(`\n== ${step.name}: FAILED after ${seconds} s (${reason}); ${step.cure}`);
  const line = sumOf(output);
  if (line !== undefined) console.log(line);
  Deno.exit(1);
}

/** The line that sums up the tests, if they came that far. */
function sumOf(output: string): string | undefined {
  return output.trimEnd().split("\n").findLast((line) => /^\d+ passed, \d+ failed/.test(line));
}

for (const step of CHECKS) await pass(step);
const output = await pass(TEST, { env: { REQUIRE_INTEROP: "1" }, keepOutput: true });
const conformance = await pass(CONFORMANCE, { keepOutput: true });
await pass(PUBLISH);
console.log(`\n${conformance.trimEnd().split("\n").at(-1)}`);
console.log(sumOf(output));
