import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { posix } from "node:path";
import { test } from "../harness.ts";
import { anchorsOf, linksIn, pathsIn, patternOf } from "./pages.ts";
import { filesIn, readSource, ROOT } from "./source.ts";

const FOLDERS = ["lib", "tests", "examples", "tools", "proto", "docs", ".ci"];

/** Files that a run writes, which a fresh checkout does not have. */
const WRITTEN = ["tests/interop/go/bin", "tests/conformance/known_failing"];

async function pages(): Promise<string[]> {
  const others = ["examples", "tests/conformance", "tests/interop", "tests/network"];
  const inFolders = await filesIn(["docs", ...others], /\.md$/);
  return [...(await readdir(ROOT)).filter((name) => name.endsWith(".md")), ...inFolders]
    .filter((path) => !path.includes("node_modules"));
}

/** Every file and folder, paths from the root. */
async function everything(): Promise<Set<string>> {
  const paths = new Set(await readdir(ROOT));
  for (const path of await filesIn(FOLDERS, /./)) paths.add(path);
  return paths;
}

test("pathsIn() finds files and folders in backticks, and nothing in code blocks", () => {
  const page =
    "Read `lib/rpc/carrier.ts`, `lib/direct/*_carrier.ts` and `deno.json`, not `dial()`, `a/b c` or\n" +
    "```\n`lib/none.ts`\n```\n";
  assert.deepEqual(pathsIn(page), ["lib/rpc/carrier.ts", "lib/direct/*_carrier.ts", "deno.json"]);
}, { pure: true });

test("patternOf() takes a star for part of one name", () => {
  assert.match("lib/direct/fetch_carrier.ts", patternOf("lib/direct/*_carrier.ts"));
  assert.doesNotMatch("lib/direct/deep/fetch_carrier.ts", patternOf("lib/direct/*_carrier.ts"));
}, { pure: true });

test("linksIn() finds links within the project, and anchorsOf() the headings that they name", () => {
  assert.deepEqual(linksIn("[a](tls.md#no-tls) [b](https://example.com) [c](#here)"), [
    { path: "tls.md", anchor: "no-tls" },
    { path: "", anchor: "here" },
  ]);
  assert.deepEqual([...anchorsOf('# One: "two", `three()`\n## 1.2 Four\n')], ["one-two-three", "12-four"]);
}, { pure: true });

test("each path in backticks in ARCHITECTURE.md and CONTRIBUTING.md exists", async () => {
  const existing = [...await everything()];
  for (const page of ["ARCHITECTURE.md", "CONTRIBUTING.md"]) {
    const paths = pathsIn(await readSource(page)).filter((path) =>
      !WRITTEN.some((written) => path.startsWith(written))
    );
    assert.ok(paths.length > 10, `only ${paths.length} paths found in ${page}`);
    const missing = paths.filter((path) => !existing.some((one) => patternOf(path).test(one)));
    assert.deepEqual(missing, [], page);
  }
});

test("each link of a page leads to a file, and to a heading where it names one", async () => {
  const existing = await everything();
  const broken: string[] = [];
  for (const page of await pages()) {
    const text = await readSource(page);
    for (const { path, anchor } of linksIn(text)) {
      const target = path === "" ? page : posix.join(posix.dirname(page), path);
      const found = existing.has(target.replace(/\/$/, ""));
      if (!found || (anchor !== undefined && !anchorsOf(await readSource(target)).has(anchor))) {
        broken.push(`${page}: ${path}${anchor === undefined ? "" : `#${anchor}`}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});
