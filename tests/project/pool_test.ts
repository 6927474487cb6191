import assert from "node:assert/strict";
import { type Job, runPool } from "../../tools/pool.ts";
import { test } from "../harness.ts";

type Held = Omit<Job, "run"> & { readonly name: string; readonly after?: Promise<unknown> };

/** A pool of jobs that run until they are told to end. */
function heldPool(slots: number, jobs: readonly Held[]) {
  const running: string[] = [], ends = new Map<string, () => void>();
  const done = runPool(
    jobs.map(({ name, ...rest }) => ({
      ...rest,
      run() {
        running.push(name);
        const { promise, resolve } = Promise.withResolvers<void>();
        ends.set(name, resolve);
        return promise;
      },
    })),
    slots,
  );
  return {
    running,
    done,
    /** Ends a job, and lets the pool start others. */
    async end(name: string) {
      running.splice(running.indexOf(name), 1);
      ends.get(name)!();
      await new Promise((resolve) => setTimeout(resolve));
    },
  };
}

test("runPool() keeps every slot taken, in the order of the jobs", async () => {
  const pool = heldPool(2, [{ name: "a" }, { name: "b" }, { name: "c" }]);
  assert.deepEqual(pool.running, ["a", "b"]);
  await pool.end("b");
  assert.deepEqual(pool.running, ["a", "c"]);
  await pool.end("a");
  await pool.end("c");
  await pool.done;
});

test("runPool() runs jobs that mostly wait beside as many others", async () => {
  const names = ["a", "b", "c", "d", "e", "f"];
  const pool = heldPool(2, names.map((name) => ({ name, waits: name >= "d" })));
  assert.deepEqual(pool.running, ["a", "b", "d", "e"]);
  await pool.end("d");
  assert.deepEqual(pool.running, ["a", "b", "e", "f"]);
  await pool.end("a");
  assert.deepEqual(pool.running, ["b", "e", "f", "c"]);
  for (const name of ["b", "c", "e", "f"]) await pool.end(name);
  await pool.done;
});

test("runPool() runs the jobs of a lane one at a time, and others beside them", async () => {
  const pool = heldPool(2, [{ name: "a", lane: "net" }, { name: "b", lane: "net" }, { name: "c" }]);
  assert.deepEqual(pool.running, ["a", "c"]);
  await pool.end("c");
  assert.deepEqual(pool.running, ["a"]);
  await pool.end("a");
  assert.deepEqual(pool.running, ["b"]);
  await pool.end("b");
  await pool.done;
});

test("runPool() starts a job once what it waits for has settled, and others before", async () => {
  const { promise, reject } = Promise.withResolvers<void>();
  const pool = heldPool(1, [{ name: "a", after: promise }, { name: "b" }]);
  assert.deepEqual(pool.running, ["b"]);
  await pool.end("b");
  assert.deepEqual(pool.running, []);
  reject(new Error("not built"));
  await assert.rejects(promise);
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(pool.running, ["a"]);
  await pool.end("a");
  await pool.done;
});

test("runPool() is done with no job, and fails as a job does", async () => {
  await runPool([], 2);
  const failing: Job = { run: () => Promise.reject(new Error("broken")) };
  await assert.rejects(runPool([failing], 2), /^Error: broken$/);
});
