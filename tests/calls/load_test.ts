import assert from "node:assert/strict";
// Bun's has sets of its own kind, which it makes of the ones that it finds when it is loaded.
import "node:http2";
import { type Client, Code } from "@connectrpc/connect";
import type { ProbeService as Probe } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";
import { lanes } from "./lanes.ts";

/** Every map and set of this process from here on: the libraries' and ours. */
const collections = new Set<WeakRef<{ readonly size: number }>>();
const note = collections.add.bind(collections);
const { Map: PlainMap, Set: PlainSet } = globalThis;
globalThis.Map = class<K, V> extends PlainMap<K, V> {
  constructor(entries?: Iterable<readonly [K, V]> | null) {
    super(entries);
    note(new WeakRef(this));
  }
} as MapConstructor;
globalThis.Set = class<T> extends PlainSet<T> {
  constructor(values?: Iterable<T> | null) {
    super(values);
    note(new WeakRef(this));
  }
} as SetConstructor;

// Only now, so that what they make is seen.
const { createClient } = await import("@connectrpc/connect");
const { dial } = await import("../../mod.ts");
const { ProbeService } = await import("../../proto/gen/viam_dial/probe/v1/probe_pb.ts");

/** Sizes of what is alive. */
function sizes(): Map<object, number> {
  const found = new PlainMap<object, number>();
  for (const reference of collections) {
    const collection = reference.deref();
    if (collection === undefined) collections.delete(reference);
    else found.set(collection, collection.size);
  }
  return found;
}

/** Calls of every kind, one after the other. */
async function callInTurn(probe: Client<typeof Probe>, rounds: number): Promise<void> {
  const data = new Uint8Array(10);
  for (let round = 0; round < rounds; round++) {
    if (round % 20 !== 0) {
      await probe.echo({ data });
      continue;
    }
    for await (const _ of probe.download({ size: 10, count: 2 }));
    const error = await probe.failUnary({ code: Code.Aborted }).then(() => undefined, (error) => error);
    assert.equal(error?.code, Code.Aborted);
    const cancel = new AbortController();
    for await (const _ of probe.hang({}, { signal: cancel.signal })) break;
    cancel.abort();
  }
}

// fetch holds 256 calls on Bun, and a connection for each elsewhere.
for (const { name, options } of lanes.filter(({ name }) => name !== "fetch")) {
  test(`${name}: 1,000 calls one after the other leave no entry in any map`, async () => {
    await using child = startProgram("tests/calls/programs/machine.ts");
    await using channel = await dial(await child.line(), options);
    const probe = createClient(ProbeService, channel);
    await callInTurn(probe, 100);
    const before = sizes();
    await callInTurn(probe, 1_000);
    const grown = [...sizes()].filter(([collection, size]) => size > (before.get(collection) ?? 0) + 20);
    assert.deepEqual(grown.map(([collection, size]) => `${collection.constructor.name} of ${size}`), []);
    assert.ok(before.size > 0);
  }, { timeoutMs: 120_000 });

  test(`${name}: 1,000 streams at once on one channel, and unary calls beside them`, async () => {
    await using child = startProgram("tests/calls/programs/machine.ts");
    await using channel = await dial(await child.line(), options);
    const probe = createClient(ProbeService, channel);
    const cancel = new AbortController();
    const start = performance.now();
    const readers = Array.from(
      { length: 1_000 },
      () =>
        probe.download({ size: 100, count: 1_000_000, intervalMs: 500 }, { signal: cancel.signal })[
          Symbol.asyncIterator
        ](),
    );
    for (let round = 0; round < 3; round++) {
      const results = await Promise.all(readers.map((reader) => reader.next()));
      assert.ok(results.every(({ done, value }) => done === false && value.data.length === 100));
    }
    console.log(`${name}: three messages of 1,000 streams after ${Math.round(performance.now() - start)} ms`);
    const times: number[] = [];
    for (let call = 0; call < 100; call++) {
      const started = performance.now();
      await probe.echo({ data: new Uint8Array(64) });
      times.push(performance.now() - started);
    }
    times.sort((one, other) => one - other);
    console.log(`${name}: unary beside them p50 ${times[50]!.toFixed(1)}, p99 ${times[99]!.toFixed(1)} ms`);
    const ends = readers.map((reader) =>
      (async () => {
        while (!(await reader.next()).done);
      })().then(() => "answered", (error) => Code[error.code])
    );
    cancel.abort();
    assert.deepEqual([...new PlainSet(await Promise.all(ends))], ["Canceled"]);
    await Promise.all(Array.from({ length: 100 }, () => probe.echo({})));
  }, { timeoutMs: 90_000 });
}
