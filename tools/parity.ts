/** Checks that every row of docs/python-parity.md has a test that passed on every runtime. */

/** One row of the table. */
export interface ParityRow {
  readonly row: number;
  readonly name: string;
  /** The title of its test. */
  readonly test: string;
}

/** The number of names, parameters and behaviours in the Python documentation of `viam.rpc.dial`. */
export const PARITY_ROWS = 61;

/** Reads the rows of the table: `| row | name | test | difference |`, the test in backticks. */
export function readParityTable(markdown: string): ParityRow[] {
  const rows: ParityRow[] = [];
  for (const line of markdown.split("\n")) {
    const cells = line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim());
    if (cells.length !== 4 || !/^\d+$/.test(cells[0]!)) continue;
    rows.push({ row: Number(cells[0]), name: cells[1]!, test: cells[2]!.replace(/^`(.*)`$/, "$1") });
  }
  return rows;
}

/**
 * Lists what is wrong with the table, and which tests are missing.
 *
 * @param passed Titles of the tests that passed, by runtime.
 */
export function parityProblems(
  rows: readonly ParityRow[],
  passed: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const problems: string[] = [];
  for (let number = 1; number <= PARITY_ROWS; number++) {
    const found = rows.filter(({ row }) => row === number);
    if (found.length !== 1) problems.push(`row ${number} is there ${found.length} times`);
  }
  for (const { row, name, test } of rows) {
    if (row < 1 || row > PARITY_ROWS) problems.push(`row ${row} is none of 1 to ${PARITY_ROWS}`);
    if (name === "") problems.push(`row ${row} has no name`);
    if (!test.startsWith(`row ${row}: `)) {
      problems.push(`row ${row} names no test of its own: ${test === "" ? "nothing" : test}`);
      continue;
    }
    for (const [runtime, titles] of passed) {
      if (!titles.has(test)) problems.push(`row ${row}: on ${runtime} no test passed that is titled ${test}`);
    }
  }
  return problems;
}
