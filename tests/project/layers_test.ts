import assert from "node:assert/strict";
import { test } from "../harness.ts";
import { brokenArrows, findCycle, type ImportGraph, type Layer, readLayers } from "./layers.ts";
import { codeAlone, importsOf, loadedWith, readSource, resolveImport, sourceFiles } from "./source.ts";

/** Names that the sans-I/O core may not use: they differ from one run to the next. */
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

test("importsOf() finds every import, and none in comments or text", () => {
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

test("loadedWith() finds only static imports of values", () => {
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

const LAYERS: readonly Layer[] = [
  { folder: "mod.ts", purpose: "names", imports: ["lib/dial"] },
  { folder: "lib/dial", purpose: "dials", imports: ["lib/rpc", "lib/core"] },
  { folder: "lib/rpc", purpose: "calls", imports: ["lib/core"] },
  { folder: "lib/core", purpose: "limits", imports: [] },
  { folder: "lib/core/grpc", purpose: "status", imports: ["lib/core", "proto"] },
  { folder: "lib/core/net", purpose: "addresses", imports: [] },
  { folder: "proto", purpose: "messages", imports: [] },
];

test("readLayers() reads the rows that name a folder", () => {
  const text =
    "| folder | holds | may import |\n| --- | --- | --- |\n| `lib/dial` | dials | `lib/rpc`, `lib/core` |\n| `other` | x | |";
  assert.deepEqual(readLayers(text), [LAYERS[1]]);
}, { pure: true });

test("brokenArrows() reports imports that the table does not allow", () => {
  const cases: [from: string, to: string, allowed: boolean][] = [
    ["mod.ts", "lib/dial/dial.ts", true],
    ["lib/dial/dial.ts", "mod.ts", false],
    ["lib/dial/dial.ts", "lib/dial/hedge.ts", true],
    ["lib/dial/dial.ts", "lib/core/net/address.ts", true],
    ["lib/dial/dial.ts", "proto/gen/a_pb.ts", false],
    ["lib/rpc/transport.ts", "lib/dial/dial.ts", false],
    ["lib/core/grpc/status.ts", "lib/core/limits.ts", true],
    ["lib/core/grpc/status.ts", "lib/core/net/address.ts", false],
    ["lib/core/grpc/status.ts", "proto/gen/a_pb.ts", true],
    ["lib/core/net/address.ts", "lib/core/limits.ts", false],
    ["lib/dial/dial.ts", "node:net", true],
    ["lib/surprise.ts", "lib/core/limits.ts", false],
  ];
  for (const [from, to, allowed] of cases) {
    assert.equal(brokenArrows(new Map([[from, [to]]]), LAYERS).length === 0, allowed, `${from} → ${to}`);
  }
}, { pure: true });

test("findCycle() finds a cycle and only a cycle", () => {
  assert.deepEqual(findCycle(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
  assert.equal(findCycle(new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]])), undefined);
}, { pure: true });

test("imports follow the arrows of the layers", async () => {
  const layers = readLayers(await readSource("ARCHITECTURE.md"));
  assert.deepEqual(brokenArrows(await importGraph(), layers), []);
});

test("each folder of lib has a row in ARCHITECTURE.md, and lib has at most four files of its own", async () => {
  const folders = readLayers(await readSource("ARCHITECTURE.md")).map(({ folder }) => folder);
  const files = await sourceFiles("lib");
  const layers = new Set(files.map((path) => path.slice(0, path.lastIndexOf("/"))));
  const parts = [...layers].filter((folder) => /^lib\/cli\/./.test(folder));
  assert.deepEqual([...layers].filter((folder) => !folders.includes(folder)), parts);
  assert.ok(files.filter((path) => /^lib\/[^/]+$/.test(path)).length <= 4);
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
  assert.deepEqual(await importers("multicast-dns"), ["lib/mdns/mdns.ts"]);
  assert.ok((await importers("@connectrpc/connect-node")).length <= 1);
});

test("mod.ts loads only protobuf and Connect: node:, the engine and mDNS are loaded when used", async () => {
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
  assert.ok(seen.has("lib/dial/dial.ts") && !seen.has("lib/dial/webrtc_link.ts"));
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

test("only the default logger writes to the console", async () => {
  const found: string[] = [];
  for (const path of await clientFiles()) {
    if (/\bconsole\b/.test(codeAlone(await readSource(path)))) found.push(path);
  }
  assert.deepEqual(found, ["lib/logger.ts"]);
});

test("mod.ts contains only exports", async () => {
  const code = codeAlone(await readSource("mod.ts"));
  assert.equal(code.replace(/\bexport (?:type )?(?:\*|\{[^}]*\}) from "";/g, "").trim(), "");
});
