/**
 * The network lab: `deno task network [--ci] [--install] [--where-possible] [--only TEXT] [--runtime deno|bun|node]
 * [--machine embedded|pion] [--seed NUMBER] [--write]`. Runs every scenario on Deno and on Bun, and some on Node, in
 * network namespaces of its own, and prints what came of it. With `--write`, the rows that were
 * run replace those of `docs/networks.md`. With `--ci`, the quick ones alone. With `--install`, installs the Debian packages that
 * are missing. Needs root, and says so; with `--where-possible`, that is no failure.
 */

import { parseArgs } from "node:util";
import { makeCertificates } from "../tests/certificates.ts";
import { namespaces, sweep } from "../tests/network/lab.ts";
import { EVENT_SCENARIOS, EVENTS } from "../tests/network/events.ts";
import { killPrograms, runningPrograms, type Runtime } from "../tests/network/program.ts";
import { DIAL_SCENARIOS, DIALS } from "../tests/network/dials.ts";
import { BULK_SCENARIOS, CHANGING, changingChart, LIMITED, LONG } from "../tests/network/bulk.ts";
import { LAN, LAN_SCENARIOS } from "../tests/network/lan.ts";
import { PATH_SCENARIOS, PATHS } from "../tests/network/paths.ts";
import { PROXIES, PROXY_SCENARIOS } from "../tests/network/proxies.ts";
import { extendPath, install, missing } from "../tests/network/requirements.ts";
import { SAFETY, SAFETY_SCENARIOS } from "../tests/network/safety.ts";
import { makesOf, type Outcome, runScenario, type Scenario, type Table } from "../tests/network/scenario.ts";
import { CHURN, FLEET, HERD, SOAK, SOAK_SCENARIOS } from "../tests/network/soak.ts";
import {
  BANDWIDTH,
  CUT,
  SIGNALING,
  SURVIVAL,
  SURVIVAL_DIRECT,
  SURVIVAL_SCENARIOS,
} from "../tests/network/survival.ts";
import { CERTIFIED } from "../tests/network/world.ts";
import { BUN_VERSION, bunPath, installPackages, NODE_VERSION, nodePath, ROOT } from "./commands.ts";
import { runPool } from "./pool.ts";

const SCENARIO_TIMEOUT_MS = 300_000;

/** Scenarios at a time for each core, where nothing is measured for the page: they mostly wait. */
const SCENARIOS_A_CORE = 2;

const TABLES: readonly Table[] = [
  DIALS,
  PATHS,
  PROXIES,
  LAN,
  SURVIVAL,
  SURVIVAL_DIRECT,
  EVENTS,
  CUT,
  SAFETY,
  SIGNALING,
  BANDWIDTH,
  LIMITED,
  LONG,
  CHANGING,
  SOAK,
  CHURN,
  FLEET,
  HERD,
];
const SCENARIOS: readonly Scenario[] = [
  ...DIAL_SCENARIOS,
  ...PATH_SCENARIOS,
  ...PROXY_SCENARIOS,
  ...LAN_SCENARIOS,
  ...SURVIVAL_SCENARIOS,
  ...EVENT_SCENARIOS,
  ...SAFETY_SCENARIOS,
  ...BULK_SCENARIOS,
  ...SOAK_SCENARIOS,
];

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    ci: { type: "boolean", default: false },
    install: { type: "boolean", default: false },
    "where-possible": { type: "boolean", default: false },
    only: { type: "string", default: "" },
    runtime: { type: "string", default: "" },
    machine: { type: "string", default: "" },
    seed: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});

extendPath();
if (flags.install) await install();
const absent = await missing();
if (absent.length > 0) {
  console.error(`The network lab cannot be built. Missing:\n${absent.map((line) => `  ${line}`).join("\n")}`);
  console.error("`deno task network --install`, as root, installs Debian packages.");
  if (flags["where-possible"]) console.log("0 passed, 0 failed");
  Deno.exit(flags["where-possible"] ? 0 : 1);
}

const bun = await bunPath();
await installPackages(bun);
const deno: Runtime = { name: "deno", path: Deno.execPath() };
const RUNTIMES: readonly Runtime[] = [
  deno,
  { name: "bun", path: bun },
  { name: "node", path: await nodePath() },
];
const RUNTIME_TITLES = { deno: "Deno", bun: "Bun", node: "Node" } as const;
/** The runtimes of a scenario's client: one that is asked for runs each. */
const runtimesOf = ({ onNode = false }: Scenario) =>
  RUNTIMES.filter(({ name }) => flags.runtime === "" ? name !== "node" || onNode : name === flags.runtime);
const chosen = SCENARIOS.filter((scenario) =>
  makesOf(scenario, flags.ci).length > 0 && (scenario.byHand !== true || flags.only !== "") &&
  `${scenario.table}: ${scenario.name}`.includes(flags.only)
);
if (chosen.flatMap(runtimesOf).length === 0) {
  console.error("No scenario is chosen.");
  Deno.exit(1);
}

await sweep();
// A folder of its own, so that everything left there is from the lab or from what runs in it.
const temporary = await Deno.makeTempDir({ prefix: "viam-dial-network-" });
Deno.env.set("TMPDIR", temporary);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    killPrograms();
    await sweep({ own: true });
    await Deno.remove(temporary, { recursive: true });
    Deno.exit(130);
  });
}

const seed = flags.seed === "" ? Math.floor(Math.random() * 2 ** 32) : Number(flags.seed);
console.log(`seed: ${seed}`);
const certificates = await makeCertificates({ names: CERTIFIED });
const outcomes: Outcome[] = [];
try {
  const runs = chosen.flatMap((scenario) =>
    makesOf(scenario, flags.ci).filter((make) => flags.machine === "" || make === flags.machine).flatMap((
      make,
    ) => runtimesOf(scenario).map((client) => ({ scenario, client, make })))
  );
  await runPool(
    runs.map(({ scenario, client, make }, index) => ({
      async run() {
        const setting = { client, make, server: deno, certificates, seed, gate: flags.ci };
        const outcome = await runScenario(
          scenario,
          setting,
          scenario.timeoutMs ?? SCENARIO_TIMEOUT_MS,
        );
        outcomes[index] = outcome;
        const { cells, error, seconds } = outcome;
        const told = error === undefined ? cells.join(" | ") : `FAILED: ${error.message}`;
        console.log(`${scenario.name} (${client.name}, ${make} machine, ${seconds.toFixed(1)} s): ${told}`);
      },
    })),
    flags.ci ? SCENARIOS_A_CORE * navigator.hardwareConcurrency : 1,
  );
} finally {
  await certificates.remove();
}

const text = describe(outcomes);
console.log(`\n${text}`);
const failed = outcomes.filter(({ error }) => error !== undefined);
const left = [
  ...(await namespaces()).filter((name) => name.startsWith(`vd-${Deno.pid}-`)).map((name) =>
    `the namespace ${name}`
  ),
  ...runningPrograms().map((pid) => `the process ${pid}`),
  ...Array.from(Deno.readDirSync(temporary), ({ name }) => `the temporary file ${name}`),
];
await Deno.remove(temporary, { recursive: true });
if (left.length > 0) console.error(`Left behind: ${left.join(", ")}`);
if (flags.write && failed.length === 0) {
  const file = `${ROOT}docs/networks.md`;
  const changing = changingChart();
  if (changing !== undefined) await Deno.writeTextFile(`${ROOT}docs/networks-changing.svg`, changing);
  await Deno.writeTextFile(file, describe(outcomes, await Deno.readTextFile(file)));
  await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "-q", "docs/networks.md", "docs/networks-changing.svg"],
    cwd: ROOT,
  }).output();
}
console.log(`${outcomes.length - failed.length} passed, ${failed.length + left.length} failed`);
if (failed.length > 0 || left.length > 0) Deno.exit(1);

/** The section of a table in a text. */
function sectionOf(text: string, { title }: Table): string | undefined {
  return text.split(/^(?=## )/m).find((section) => section.startsWith(`## ${title}\n`))?.trim();
}

/** The rows of a table in Markdown; the first has the headings. */
function rowsIn(section: string): string[][] {
  return section.split("\n").filter((line) => line.startsWith("| ")).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  ).filter(([, ...cells]) => !cells.every((cell) => /^-+$/.test(cell)));
}

/**
 * The text of `docs/networks.md`.
 *
 * @param before The text so far: rows that were not run are taken from it.
 */
function describe(all: readonly Outcome[], before: string = ""): string {
  const parts = [
    "# On real networks\n",
    `Written by \`deno task network --write\`; do not edit. The client runs on Deno ${Deno.version.deno} and on Bun ` +
    `${BUN_VERSION}, in some rows on Node ${NODE_VERSION}. Client, machine, signaling server and TURN server (coturn) each have a host of their own, made ` +
    "of network namespaces.\n",
  ];
  for (const table of TABLES) {
    const { id, title, text, columns } = table;
    const scenarios = SCENARIOS.filter((scenario) => scenario.table === id);
    const run = all.filter(({ scenario, error }) => scenario.table === id && error === undefined);
    const old = sectionOf(before, table);
    // A column of machines where there are two.
    const hasMakes = new Set(scenarios.flatMap((scenario) => makesOf(scenario, false))).size > 1;
    const headings = ["", ...hasMakes ? ["machine"] : [], "client", ...columns];
    const [oldHeadings, ...oldRows] = rowsIn(old ?? "");
    const isSame = oldHeadings !== undefined && oldHeadings.join() === headings.join();
    const isWhole = run.length >= scenarios.reduce(
      (sum, scenario) => sum + (scenario.onNode ? 3 : 2) * makesOf(scenario, false).length,
      0,
    );
    if (run.length === 0 || (old !== undefined && !isSame && !isWhole)) {
      if (old !== undefined) parts.push(`${old}\n`);
      continue;
    }
    const start = hasMakes ? 3 : 2;
    const rows = new Map((isSame ? oldRows : []).map((row) => [row.slice(0, start).join(), row]));
    for (const { scenario, runtime, make, cells } of run) {
      const row = [scenario.name, ...hasMakes ? [make] : [], RUNTIME_TITLES[runtime], ...cells];
      rows.set(row.slice(0, start).join(), row);
    }
    const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
    parts.push(`## ${title}\n`, `${text}\n`, line(headings), line(headings.map(() => "---")));
    for (const scenario of scenarios) {
      for (const make of makesOf(scenario, false)) {
        for (const { name } of RUNTIMES) {
          const start = [scenario.name, ...hasMakes ? [make] : [], RUNTIME_TITLES[name]];
          const row = rows.get(start.join());
          if (row !== undefined) parts.push(line(row));
        }
      }
    }
    parts.push("");
  }
  return parts.join("\n");
}
