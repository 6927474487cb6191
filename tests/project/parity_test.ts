import assert from "node:assert/strict";
import { PARITY_ROWS, parityProblems, readParityTable } from "../../tools/parity.ts";
import { test } from "../harness.ts";
import { readSource, sourceFiles } from "./source.ts";

const HEAD = "| row | name here | test | difference |\n| --- | --- | --- | --- |\n";

function table(change: (row: number) => string | undefined = () => undefined): string {
  const lines = Array.from(
    { length: PARITY_ROWS },
    (_, index) => change(index + 1) ?? `| ${index + 1} | name | \`row ${index + 1}: it holds\` | none |`,
  );
  return `# Text\n\n${HEAD}${lines.join("\n")}\n`;
}

const titles = new Set(Array.from({ length: PARITY_ROWS }, (_, index) => `row ${index + 1}: it holds`));
const everywhere = new Map([["Deno", titles], ["Bun", titles]]);

test("parityProblems() finds none in a whole table whose tests have passed", () => {
  assert.deepEqual(parityProblems(readParityTable(table()), everywhere), []);
}, { pure: true });

test("readParityTable() keeps bars that are escaped", () => {
  const [row] = readParityTable(`${HEAD}| 6 | \`"a" \\| "b"\` | \`row 6: x\` | |\n`);
  assert.deepEqual(row, { row: 6, name: '`"a" \\| "b"`', test: "row 6: x" });
}, { pure: true });

const broken: readonly [title: string, markdown: string, problem: RegExp][] = [
  ["a missing row", table((row) => row === 7 ? "" : undefined), /^row 7 is there 0 times$/],
  [
    "a duplicate row",
    table((row) => row === 7 ? "| 6 | n | `row 6: it holds` | |" : undefined),
    /^row 6 is/,
  ],
  [
    "an empty test cell",
    table((row) => row === 7 ? "| 7 | n |  | |" : undefined),
    /^row 7 names no test .*: nothing/,
  ],
  [
    "a test of another row",
    table((row) => row === 7 ? "| 7 | n | `row 8: it holds` | |" : undefined),
    /^row 7 names/,
  ],
  [
    "a nonexistent test",
    table((row) => row === 7 ? "| 7 | n | `row 7: else` | |" : undefined),
    /row 7: on Deno/,
  ],
  [
    "a row with no name",
    table((row) => row === 7 ? "| 7 | | `row 7: it holds` | |" : undefined),
    /row 7 has no name/,
  ],
  ["a row too many", `${table()}| 62 | n | \`row 62: x\` | |\n`, /^row 62 is none of/],
];
for (const [title, markdown, problem] of broken) {
  test(`parityProblems() finds ${title}`, () => {
    assert.match(parityProblems(readParityTable(markdown), everywhere)[0] ?? "", problem);
  }, { pure: true });
}

test("parityProblems() finds a test that did not pass on one of the runtimes", () => {
  const fewer = new Set([...titles].filter((title) => title !== "row 9: it holds"));
  assert.deepEqual(
    parityProblems(readParityTable(table()), new Map([["Deno", titles], ["Bun", fewer]])),
    ["row 9: on Bun no test passed that is titled row 9: it holds"],
  );
}, { pure: true });

test("docs/python-parity.md names a test for each row, and tests/parity has no others", async () => {
  const rows = readParityTable(await readSource("docs/python-parity.md"));
  assert.equal(rows.length, PARITY_ROWS);
  const written = new Set<string>();
  for (const path of await sourceFiles("tests/parity")) {
    for (const [, title] of (await readSource(path)).matchAll(/test\(\s*["`](row [^"`]+)["`]/g)) {
      // Two rows that differ only in the name of a type share their code.
      const shared = title!.includes("${row}")
        ? [[7, "robot-location-secret"], [8, "robot-secret"]]
        : [[0, ""]];
      for (const [row, type] of shared) {
        written.add(title!.replace("${row}", String(row)).replace("${type}", String(type)));
      }
    }
  }
  assert.deepEqual(parityProblems(rows, new Map([["tests/parity", written]])), []);
  assert.equal(written.size, PARITY_ROWS);
});
