/** Reads JUnit reports of `deno test`, `bun test` and `node --test`. */

/** The results of one file's tests. Each name is the title of a test. */
export interface Tally {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Reads a report. All runtimes escape every name and message, so that an element's name is never text. */
export function readJunit(report: string): Tally {
  const passed: string[] = [], failed: string[] = [], skipped: string[] = [];
  for (const testcase of report.split("<testcase ").slice(1)) {
    const name = unescape(/name="([^"]*)"/.exec(testcase)?.[1] ?? "");
    const into = /<(failure|error)\b/.test(testcase)
      ? failed
      : testcase.includes("<skipped")
      ? skipped
      : passed;
    into.push(name);
  }
  return { passed, failed, skipped };
}

function unescape(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return ENTITIES[name] ?? whole;
  });
}
