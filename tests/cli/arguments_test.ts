import assert from "node:assert/strict";
import { readArguments, UsageError } from "../../lib/cli/arguments.ts";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { parseRequests, readJsonLines } from "../../lib/cli/request_json.ts";
import { summarize } from "../../lib/cli/round_trips.ts";
import { test } from "../harness.ts";

const OPTIONS = {
  "json": { help: "" },
  "count": { value: "N", short: "c", help: "" },
  "header": { value: "H", multiple: true, help: "" },
  "protocol": { value: "P", words: ["one", "two"], help: "" },
  "wait": { value: "MS", help: "" },
};

test("readArguments() reads flags, values, lists, numbers and positionals", () => {
  const args = readArguments(["a", "--json", "-c", "5", "--header=x:1", "--header", "y:2", "b"], OPTIONS);
  assert.deepEqual(args.positionals, ["a", "b"]);
  assert.equal(args.has("json"), true);
  assert.equal(args.has("count"), false);
  assert.equal(args.integer("count", 1, 10), 5);
  assert.equal(args.text("count"), "5");
  assert.equal(args.text("protocol"), undefined);
  assert.deepEqual(args.texts("header"), ["x:1", "y:2"]);
  assert.equal(readArguments([], OPTIONS).integer("count", 1, 10), undefined);
}, { pure: true });

test("readArguments() names unknown options and wrong values", () => {
  const wrong: readonly (readonly [typed: readonly string[], text: RegExp])[] = [
    [["--nothing"], /'--nothing'/],
    [["--count"], /'-c, --count <value>' argument missing|--count/],
    [["--protocol", "three"], /--protocol is "three"; it takes one, two/],
  ];
  for (const [typed, text] of wrong) {
    assert.throws(() => readArguments(typed, OPTIONS), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, text);
      return true;
    });
  }
  // The progress of a dial, which these do not make.
  for (const { options } of COMMANDS.filter(({ name }) => name === "serve" || name === "completion")) {
    assert.throws(() => readArguments(["--verbose"], options), /'--verbose'/);
  }
  for (const text of ["", "x", "0", "11", "-1", "1.5", "Infinity"]) {
    const args = readArguments([`--count=${text}`], OPTIONS);
    assert.throws(() => args.integer("count", 1, 10), /--count is .*; it takes a whole number from 1 to 10/);
  }
  assert.throws(
    () => readArguments(["--wait=0.2"], OPTIONS).integer("wait", 0, Infinity),
    /--wait is "0.2"; it takes a whole number of milliseconds from 0 up/,
  );
}, { pure: true });

test("readArguments() refuses secrets, and does not repeat them", () => {
  for (const typed of [["--api-key", "s3cret"], ["--api-key=s3cret"], ["--access-token", "s3cret"]]) {
    assert.throws(() => readArguments(typed, OPTIONS), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /VIAM_API_KEY/);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
  }
}, { pure: true });

test("commands mean the same by the same option", () => {
  const seen = new Map<string, string>();
  for (const { options } of COMMANDS) {
    for (const [name, { value, file, words, short }] of Object.entries(options)) {
      const meaning = JSON.stringify({ value, file, words, short });
      assert.equal(seen.get(name) ?? meaning, meaning, name);
      seen.set(name, meaning);
    }
  }
});

test("parseRequests() reads one value over several lines, or one value a line", () => {
  assert.deepEqual(parseRequests('{\n"a": 1\n}'), [{ a: 1 }]);
  assert.deepEqual(parseRequests('{"a": 1}\n\n{"a": 2}\n'), [{ a: 1 }, { a: 2 }]);
  assert.throws(() => parseRequests("{a}"), UsageError);
  assert.throws(() => parseRequests('{"a": 1}\n{a}'), /line 2/);
}, { pure: true });

test("readJsonLines() reads values however the input is cut", async () => {
  const bytes = new TextEncoder().encode('{"a":"hé"}\n\n  {"a":2}\r\n{"a":3}');
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const cut = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    const values = await Array.fromAsync(readJsonLines(cut()));
    assert.deepEqual(values, [{ a: "hé" }, { a: 2 }, { a: 3 }], `${size} bytes a chunk`);
  }
  const wrong = async function* () {
    yield new TextEncoder().encode("1\n\n{\n");
  };
  await assert.rejects(Array.fromAsync(readJsonLines(wrong())), /line 3/);
}, { pure: true });

test("summarize() has minimum, mean, median and maximum, and what was lost", () => {
  const { minMs, meanMs, medianMs, maxMs, lostPercent } = {
    meanMs: 0,
    medianMs: 0,
    maxMs: 0,
    ...summarize(5, [4, 1, 2, 9]),
  };
  assert.deepEqual([minMs, meanMs, medianMs, maxMs, lostPercent], [1, 4, 3, 9, 20]);
  assert.deepEqual(summarize(2, []), { sent: 2, answered: 0, lostPercent: 100 });
  assert.deepEqual(summarize(0, []), { sent: 0, answered: 0, lostPercent: 0 });
}, { pure: true });
