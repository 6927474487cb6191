/** Which file may import which. */

/** Files with what each imports: paths from the root, or package names. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

// Top down: a layer may import those below it. Within one line, only what SIDEWAYS allows.
const LAYERS: readonly (readonly string[])[] = [
  ["mod", "cli"],
  ["dial"],
  ["channel", "reconnect", "auth"],
  ["direct", "webrtc", "rpc", "reflection"],
  ["words"],
  ["core"],
  ["proto"],
];

// The carriers implement the seam in `rpc`, which knows none of them.
const SIDEWAYS: ReadonlySet<string> = new Set([
  "channel → reconnect",
  "direct → rpc",
  "webrtc → rpc",
]);

// `testing` stands beside `channel`: it may use the wires and everything below, and only users import it. A machine
// that takes callers from another signaling server has to authenticate there, as a client does.
const TESTING_MAY_IMPORT: ReadonlySet<string> = new Set(
  ["auth", "direct", "webrtc", "rpc", "words", "core", "proto"],
);

const FILES: Record<string, readonly string[]> = {
  mod: ["mod.ts"],
  dial: [
    "dial",
    "hedge",
    "head_start",
    "local_link",
    "direct_link",
    "webrtc_link",
    "dial_failure",
    "telemetry",
    "watch_dial",
    "timeline_recorder",
  ].map(inLibrary),
  channel: ["channel", "event_queue"].map(inLibrary),
  reconnect: ["lib/reconnect.ts"],
  auth: ["lib/auth.ts"],
  // What users write and read, and the facts that every layer above `core` shares.
  words: [
    ...[
      "channel_stats",
      "credentials",
      "deadline",
      "errors",
      "events",
      "logger",
      "options",
      "resolve_options",
    ],
    ...["pause", "permission", "runtime", "version"],
  ].map(inLibrary),
};

function inLibrary(name: string): string {
  return `lib/${name}.ts`;
}

/** The layer of a file; undefined for one that has none. */
export function layerOf(path: string): string | undefined {
  if (path.startsWith("proto/gen/")) return "proto";
  const folder = /^lib\/(core|rpc|direct|webrtc|reflection|testing|cli)\//.exec(path)?.[1];
  return folder ?? Object.keys(FILES).find((layer) => FILES[layer]?.includes(path));
}

/** Every import that goes up, or sideways where it may not, and every file without a layer. */
export function brokenArrows(graph: ImportGraph): string[] {
  const broken: string[] = [];
  for (const [path, imports] of graph) {
    const from = layerOf(path);
    if (from === undefined) {
      broken.push(`${path} has no layer: name it in tests/project/layers.ts`);
      continue;
    }
    for (const target of imports) {
      if (!/^(lib|proto|mod\.ts)/.test(target)) continue;
      const to = layerOf(target);
      if (to !== undefined && !allowed(from, to)) {
        broken.push(`${path} → ${target}: ${from} may not import ${to}`);
      }
    }
  }
  return broken;
}

function allowed(from: string, to: string): boolean {
  if (from === to) return true;
  if (from === "testing") return TESTING_MAY_IMPORT.has(to);
  if (to === "testing") return from === "cli"; // which serves a machine
  const above = LAYERS.findIndex((layer) => layer.includes(from));
  const below = LAYERS.findIndex((layer) => layer.includes(to));
  return above < below || (above === below && SIDEWAYS.has(`${from} → ${to}`));
}

/** One cycle of imports, as the files on it, or undefined when there is none. Type imports count. */
export function findCycle(graph: ImportGraph): string[] | undefined {
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    const start = trail.indexOf(path);
    if (start >= 0) return [...trail.slice(start), path];
    if (done.has(path)) return undefined;
    for (const target of graph.get(path) ?? []) {
      const cycle = visit(target, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const path of graph.keys()) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
