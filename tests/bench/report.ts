import { DISTANCES, GROWTH, IN_FLIGHT, SIZES } from "./groups.ts";
import { notes, profiles } from "./notes.ts";
import { median, type Samples } from "./samples.ts";
import { standing, targets } from "./targets.ts";

/** The result of one run. */
export interface Run {
  readonly written: string;
  readonly rounds: number;
  readonly cores: number;
  readonly platform: string;
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly download: Readonly<Record<string, number>>;
  readonly samples: Samples;
}

/** The page, in Markdown. */
export function report(run: Run): string {
  const { samples } = run;
  const parts = [
    "# Performance",
    "Written by `deno task bench`; do not edit. Notes are in `tests/bench/notes.ts`.",
    `Measured ${
      run.written.slice(0, 16).replace("T", " ")
    } UTC on ${run.cores} cores of ${run.platform}, load ` +
    `${
      run.load.toFixed(1)
    } before; ${run.rounds} rounds, every subject once a round (A, B, C, A, B, C …), each in ` +
    `a process of its own. The server is the Go peer in another process, unless a row says "embedded machine". ` +
    `Ratios are taken round by round; shown is their median, then their range.` +
    (run.rounds < 5 ? "\n\n**A short run, good only to show the form.**" : ""),
    Object.entries(run.versions).map(([name, version]) => `${name} ${version}`).join(", ") + ".",
    "![Ratios to the floors and the peers](performance.svg)",
    "## Targets",
    targetTable(samples),
    "## Unary calls, 64 bytes",
    table(
      ["subject", ...IN_FLIGHT.flatMap((n) => [`p50 µs, ${n}`, `p99 µs, ${n}`, `calls/s, ${n}`])],
      samples,
      IN_FLIGHT.flatMap((n) => ["p50", "p99", "rate"].map((figure) => `unary ${n}.${figure}`)),
    ),
    ...(["download", "upload", "exchange"] as const).flatMap((kind, index) => [
      `## ${["Server", "Client", "Bidi"][index]} streams`,
      table(
        ["subject", ...SIZES.flatMap((size) => [`MB/s, ${bytes(size)}`, `messages/s, ${bytes(size)}`])],
        samples,
        SIZES.flatMap((size) => ["mbps", "messages"].map((figure) => `${kind} ${size}.${figure}`)),
      ),
    ]),
    "## Dials",
    "In milliseconds. `first` is the first dial of a process, the others come after it in the same process.",
    table(
      ["subject", "first", "p50", "p99", "failures", "longest", "dials"],
      samples,
      ["first", "p50", "p99", "failures", "most", "dials"].map((figure) => `dial.${figure}`),
    ),
    "## At a distance",
    "On loopback, and at 20 ms there and back: the first dial of a process, its first answer (the dial and one call), " +
    "the median of five dials after it, all in milliseconds, and the median of unary calls in µs; three rounds, on " +
    `${run.written.slice(0, 10)}. Where a dial asks the server nothing, the first call makes the connection.`,
    table(
      [
        "subject",
        ...["first dial", "first answer", "redial", "call"].flatMap((title) =>
          Object.keys(DISTANCES).map((link) => `${title}, ${link}`)
        ),
      ],
      samples,
      ["dial", "answer", "redial", "p50"].flatMap((figure) =>
        Object.keys(DISTANCES).map((link) => `${link}.${figure}`)
      ),
    ),
    "## Memory",
    "Resident memory in MB; `heap` is what 10,000 calls leave, in kB, between two forced collections.",
    table(
      ["subject", "at rest", "100 channels", "after 1,000 redials", "heap"],
      samples,
      ["rest", "channels100", "redials1000", "heapGrown"].map((figure) => `memory.${figure}`),
    ),
    "## From a cold process",
    "Milliseconds from start to end of a process that does nothing; imports `mod.ts`; makes one direct call; makes " +
    "the same call with bare `fetch` and imports `@bufbuild/protobuf` and `@connectrpc/connect`.",
    table(["runtime", "nothing", "import", "first answer", "bare fetch"], samples, [
      "nothing.ms",
      "import.ms",
      "first answer.ms",
      "bare fetch.ms",
    ]),
    "## What a user downloads",
    ["| part | kB unpacked |", "| --- | ---: |"]
      .concat(Object.entries(run.download).map(([name, size]) => `| ${name} | ${number(size / 1_000)} |`))
      .join("\n"),
    ...(Object.keys(GROWTH) as (keyof typeof GROWTH)[]).flatMap((axis) => [
      `## Cost by ${axis}`,
      "Latency p50 in µs, CPU in µs a call, resident memory in MB.",
      table(
        ["subject", ...GROWTH[axis].flatMap((at) => [`p50, ${at}`, `CPU, ${at}`, `RSS, ${at}`])],
        samples,
        GROWTH[axis].flatMap((at) => ["p50", "cpu", "rss"].map((figure) => `${axis} ${at}.${figure}`)),
      ),
    ]),
    ...(profiles.length === 0 ? [] : ["## What profiles show", ...profiles]),
  ];
  return parts.filter((part) => part !== "").join("\n\n") + "\n";
}

/** The page before, with one section as it is now; a new one comes in front of what follows it now. */
export function withSection(before: string, now: string, title: string): string {
  const sections = (page: string) => page.split(/^(?=## )/m);
  const isIt = (section: string) => section.startsWith(`## ${title}\n`);
  const all = sections(now), at = all.findIndex(isIt);
  if (at === -1) throw new Error(`no such section: ${title}`);
  const next = all[at + 1]?.split("\n", 1)[0] ?? "";
  const kept = sections(before).filter((section) => !isIt(section));
  const place = kept.findIndex((section) => section.startsWith(`${next}\n`));
  return kept.toSpliced(place === -1 ? kept.length : place, 0, all[at]!).join("");
}

function targetTable(samples: Samples): string {
  const lines = ["| figure | target | Deno | Bun | note |", "| --- | --- | --- | --- | --- |"];
  for (const row of targets) {
    const cells = ["deno", "bun"].map((runtime) => {
      const now = standing(row, samples, runtime);
      if (now === undefined) return "not measured";
      const range = `${ratio(now.value)} (${ratio(now.low)}–${ratio(now.high)})`;
      const distance = row.limit === 0
        ? ""
        : ` by ${
          Math.abs(now.value / row.limit - 1).toLocaleString("en", {
            style: "percent",
          })
        }`;
      return now.met ? `${range}, met` : `${range}, **missed${distance}**`;
    });
    const target = `${row.bound} ${row.limit}`;
    lines.push(`| ${row.title} | ${target} | ${cells.join(" | ")} | ${notes[row.key] ?? ""} |`);
  }
  return lines.join("\n");
}

/** A table whose rows are the subjects that have any of the figures; empty if there are none. */
function table(head: readonly string[], samples: Samples, figures: readonly string[]): string {
  const rows = Object.entries(samples).filter(([, own]) =>
    figures.some((figure) => own[figure] !== undefined)
  );
  if (rows.length === 0) return "Not measured in this run.";
  const lines = [`| ${head.join(" | ")} |`, `| --- |${" ---: |".repeat(figures.length)}`];
  for (const [name, own] of rows) {
    lines.push(`| ${name} | ${figures.map((figure) => spread(own[figure])).join(" | ")} |`);
  }
  return lines.join("\n");
}

function spread(values: readonly number[] | undefined): string {
  const good = values?.filter((value) => Number.isFinite(value)) ?? [];
  if (good.length === 0) return "–";
  const middle = median(good);
  if (good.length === 1 || middle === 0) return number(middle);
  const half = (Math.max(...good) - Math.min(...good)) / 2 / middle;
  return `${number(middle)} ±${Math.round(half * 100)}%`;
}

function ratio(value: number): string {
  return value.toFixed(value >= 10 ? 1 : 2);
}

function number(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: value >= 1_000 ? 4 : 3 });
}

function bytes(size: number): string {
  return size < 1_024 ? `${size} B` : size < 1 << 20 ? `${size >> 10} KiB` : `${size >> 20} MiB`;
}
