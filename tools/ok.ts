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

const NETWORK: Step = {
  name: "networks",
  // A developer's machine is not changed, and need not be able to.
  args: ["task", "network", "--ci", Deno.env.has("CI") ? "--install" : "--where-possible"],
  cure: "mend what is listed; the lab needs root, and a kernel with network namespaces, nftables and TUN",
};

const PUBLISH: Step = {
  name: "publishing",
  args: ["publish", "--dry-run", "--allow-dirty"],
  cure: "mend what is listed",
};

/** What has been counted so far. */
const total = { passed: 0, failed: 0, skipped: 0 };

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
  if (count(output)) console.log(sum());
  Deno.exit(1);
}

/** Adds the line that sums up a step's tests, if they came that far. */
function count(output: string): boolean {
  const lines = output.trimEnd().split("\n");
  const line = lines.map((line) => /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?/.exec(line))
    .findLast((match) => match !== null);
  if (line === undefined) return false;
  total.passed += Number(line?.[1]);
  total.failed += Number(line?.[2]);
  total.skipped += Number(line?.[3] ?? 0);
  return true;
}

function sum(): string {
  const { passed, failed, skipped } = total;
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}

for (const step of CHECKS) await pass(step);
count(await pass(TEST, { env: { REQUIRE_INTEROP: "1" }, output: "tee" }));
const conformance = await pass(CONFORMANCE, { output: "tee" });
count(await pass(NETWORK, { output: "tee" }));
await pass(PUBLISH);
console.log(`\n${conformance.trimEnd().split("\n").at(-1)}`);
console.log(sum());
