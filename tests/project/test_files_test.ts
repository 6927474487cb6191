import assert from "node:assert/strict";
import { inBatches, isNamed, needsPrograms, testFiles } from "../../tools/test_files.ts";
import { test } from "../harness.ts";

test("inBatches() puts each test file in one batch, and apart those that need programs", () => {
  const files = testFiles([]);
  const batches = inBatches(files);
  assert.deepEqual(batches.flat().toSorted(), files);
  assert.ok(batches.length < files.length / 2, `${batches.length} batches`);
  for (const batch of batches) {
    assert.equal(new Set(batch.map(needsPrograms)).size, 1, batch.join(" "));
  }
});

test("isNamed() finds a file, and what is in a folder", () => {
  const table = { "tests/a": "a folder", "tests/b_test.ts": "a file" };
  assert.ok(isNamed("tests/a/x_test.ts", table));
  assert.ok(isNamed("tests/b_test.ts", table));
  assert.ok(!isNamed("tests/ab/x_test.ts", table));
});
