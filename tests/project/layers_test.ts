import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { brokenArrows, findCycle, type ImportGraph } from "./layers.ts";
import { codeAlone, importsOf, loadedWith, readSource, resolveImport, sourceFiles } from "./source.ts";

/** What the sans-I/O core may not touch: whatever differs from one run to the next. */
const IMPURE =
  /\b(?:Deno|Bun|process|performance|crypto|fetch|console|Promise|async|await|queueMicrotask|set(?:Timeout|Interval|Immediate)|Date\.now|Math\.random)\b|\bnew Date\(\s*\)/;

const PACKAGES =
  /^(?:@bufbuild\/protobuf|@connectrpc\/connect|@connectrpc\/connect-node|node-datachannel|multicast-dns)(?:\/|$)/;

async function clientFiles(): Promise<string[]> {
  return ["mod.ts", ...await sourceFiles("lib")];
}

async function importGraph(): Promise<ImportGraph> {
  const graph = new Map<string, string[]>();
  for (const path of [...await clientFiles(), ...await sourceFiles("proto/gen")]) {
    graph.set(path, importsOf(await readSource(path)).map((specifier) => resolveImport(path, specifier)));
  }
  return graph;
}

async function importers(packageName: string): Promise<string[]> {
  const graph = await importGraph();
  return [...graph].filter(([, imports]) => imports.includes(packageName)).map(([path]) => path);
}

test("importsOf() finds every import and nothing in comments or text", () => {
  const text = [
    'import a, { type B } from "./a.ts";',
    'import type {\n  C,\n} from "./c.ts";',
    'export * from "./d.ts";',
    'export { e } from "./e.ts";',
    'import "./f.ts";',
    'const g = await import("./g.ts");',
    '/* import { h } from "./h.ts"; */ // import "./i.ts"',
    'const url = "https://example.com"; const quote = /["`]/; const j = `import "./j.ts"`;',
    'import { k } from "./k.ts";',
  ].join("\n");
  assert.deepEqual(importsOf(text), ["a", "c", "d", "e", "f", "g", "k"].map((name) => `./${name}.ts`));
}, { pure: true });

test("loadedWith() finds static imports of values alone", () => {
  const text = [
    'import a, { type B } from "./a.ts";',
    'import type {\n  C,\n} from "./c.ts";',
    'export * from "./d.ts";',
    'export type { E } from "./e.ts";',
    'import "./f.ts";',
    'const g = await import("./g.ts");',
  ].join("\n");
  assert.deepEqual(loadedWith(text), ["a", "d", "f"].map((name) => `./${name}.ts`));
}, { pure: true });

test("codeAlone() keeps code and drops comments and text", () => {
  const text =
    'call(Date.now()); /* Math.random() */ say("Deno"); const word = /[/"]Bun/; // fetch()\nend(`await`);';
  assert.deepEqual(codeAlone(text).match(/\w+(?:\.\w+)?/g), [
    "call",
    "Date.now",
    "say",
    "const",
    "word",
    "end",
  ]);
}, { pure: true });

test("brokenArrows() reports imports that go up or sideways", () => {
  const cases: [from: string, to: string, allowed: boolean][] = [
    ["mod.ts", "lib/dial.ts", true],
    ["lib/dial.ts", "mod.ts", false],
    ["lib/dial.ts", "lib/core/plan.ts", true],
    ["lib/core/plan.ts", "lib/errors.ts", false],
    ["lib/core/plan.ts", "proto/gen/a_pb.ts", true],
    ["lib/rpc/transport.ts", "lib/direct/fetch_carrier.ts", false],
    ["lib/rpc/transport.ts", "lib/webrtc/channel_carrier.ts", false],
    ["lib/webrtc/channel_carrier.ts", "lib/rpc/carrier.ts", true],
    ["lib/webrtc/channel_carrier.ts", "lib/direct/fetch_carrier.ts", false],
    ["lib/auth.ts", "lib/channel.ts", false],
    ["lib/testing/machine.ts", "lib/webrtc/peer.ts", true],
    ["lib/testing/machine.ts", "lib/dial.ts", false],
    ["mod.ts", "lib/testing/mod.ts", false],
    ["lib/surprise.ts", "lib/core/plan.ts", false],
  ];
  for (const [from, to, allowed] of cases) {
    assert.equal(brokenArrows(new Map([[from, [to]]])).length === 0, allowed, `${from} → ${to}`);
  }
}, { pure: true });

test("findCycle() finds a cycle and only a cycle", () => {
  assert.deepEqual(findCycle(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
  assert.equal(findCycle(new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]])), undefined);
}, { pure: true });

test("imports follow the arrows of the layers", async () => {
  assert.deepEqual(brokenArrows(await importGraph()), []);
});

test("imports form no cycle", async () => {
  assert.equal(findCycle(await importGraph()), undefined);
});

test("the library imports only its five packages and node:", async () => {
  const foreign = [...await importGraph()].flatMap(([path, imports]) =>
    imports.filter((target) => !/^(?:lib\/|proto\/|node:)/.test(target) && !PACKAGES.test(target))
      .map((target) => `${path} → ${target}`)
  );
  assert.deepEqual(foreign, []);
});

test("node-datachannel and multicast-dns have one importer each, connect-node at most one", async () => {
  assert.deepEqual(await importers("node-datachannel"), ["lib/webrtc/peer.ts"]);
  assert.deepEqual(await importers("multicast-dns"), ["lib/direct/mdns.ts"]);
  assert.ok((await importers("@connectrpc/connect-node")).length <= 1);
});

test("mod.ts starts with protobuf and Connect alone: node:, the engine and mDNS are loaded when used", async () => {
  const foreign = new Set<string>();
  const seen = new Set<string>();
  const next = ["mod.ts"];
  for (let path = next.pop(); path !== undefined; path = next.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const specifier of loadedWith(await readSource(path))) {
      if (specifier.startsWith(".")) next.push(resolveImport(path, specifier));
      else foreign.add(specifier);
    }
  }
  assert.ok(seen.has("lib/dial.ts") && !seen.has("lib/webrtc_link.ts"));
  assert.deepEqual([...foreign].toSorted(), [
    "@bufbuild/protobuf",
    "@bufbuild/protobuf/codegenv2",
    "@bufbuild/protobuf/wkt",
    "@connectrpc/connect",
    "@connectrpc/connect/protocol",
  ]);
});

test("the core is free of I/O, clocks, timers, randomness and promises", async () => {
  const found: string[] = [];
  for (const path of await sourceFiles("lib/core")) {
    const text = await readSource(path);
    const impure = IMPURE.exec(codeAlone(text))?.[0];
    if (impure !== undefined) found.push(`${path}: ${impure}`);
    for (const specifier of importsOf(text)) {
      if (specifier.startsWith("node:")) found.push(`${path}: ${specifier}`);
    }
  }
  assert.deepEqual(found, []);
});

test("the library writes to the console in its default logger alone", async () => {
  const found: string[] = [];
  for (const path of await clientFiles()) {
    if (/\bconsole\b/.test(codeAlone(await readSource(path)))) found.push(path);
  }
  assert.deepEqual(found, ["lib/logger.ts"]);
});

test("mod.ts holds names alone", async () => {
  const code = codeAlone(await readSource("mod.ts"));
  assert.equal(code.replace(/\bexport (?:type )?(?:\*|\{[^}]*\}) from "";/g, "").trim(), "");
});
