import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { citationsOf, isCited, sectionsOf } from "./protocol.ts";
import { filesIn, readSource } from "./source.ts";

const PAGE = "docs/protocol.md";

test("citationsOf() finds sections, lists of them, rules, and citations across comment lines", () => {
  const text = [
    "// (protocol §1.3, §4): frames",
    "/** Protocol §10, 15: a title",
    " * (protocol",
    " * §3.4, rule 6).",
    "# protocol §7 #11, and RFC 8489 §14.2",
    "(protocol §2.9, steps 3 and 4)",
  ].join("\n");
  assert.deepEqual(citationsOf(text), [
    { section: "1.3", items: [] },
    { section: "4", items: [] },
    { section: "10", items: [15] },
    { section: "3.4", items: [6] },
    { section: "7", items: [11] },
    { section: "2.9", items: [3, 4] },
  ]);
}, { pure: true });

test("sectionsOf() finds headings with the numbers of their lists and tables, subsections included", () => {
  const sections = sectionsOf(
    "## 2. Two\n### 2.1 First\n1. one\n2. two\n### 2.2 Second\n| 7 | row |\n## 3. Three\n",
  );
  assert.deepEqual([...sections.keys()], ["2", "2.1", "2.2", "3"]);
  assert.ok(isCited(sections, { section: "2", items: [2, 7] }));
  assert.ok(!isCited(sections, { section: "2.2", items: [2] }));
  assert.ok(!isCited(sections, { section: "2.3", items: [] }));
}, { pure: true });

test("each protocol section that code, tests and pages cite exists in docs/protocol.md", async () => {
  const sections = sectionsOf(await readSource(PAGE));
  const missing: string[] = [];
  let count = 0;
  const paths = await filesIn(
    ["lib", "tests", "examples", "tools", "proto", "docs"],
    /\.(?:ts|mjs|go|py|proto|md|yaml)$/,
  );
  for (
    const path of [...paths, "mod.ts", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
  ) {
    // This file contains examples of citations.
    if (path === "tests/project/protocol_test.ts") continue;
    const text = await readSource(path);
    // The page itself cites its sections by their number alone.
    const cited = citationsOf(path === PAGE ? text.replace(/(?<!protocol )(?=§)/g, "protocol ") : text);
    count += cited.length;
    for (const citation of cited) {
      if (!isCited(sections, citation)) missing.push(`${path}: §${citation.section} ${citation.items}`);
    }
  }
  assert.deepEqual(missing, []);
  assert.ok(count > 100, `only ${count} citations found`);
});
