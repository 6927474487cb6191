import { median, type Samples } from "./samples.ts";

type Pick = (figure: string, subject: string) => readonly number[];

/** A target for a figure. */
export interface TargetRow {
  readonly key: string;
  readonly title: string;
  readonly bound: "at most" | "at least";
  readonly limit: number;
  /** The ratio, round by round, on one runtime. */
  readonly ratios: (own: Pick, python: Pick) => readonly number[];
}

function over(above: readonly number[], below: readonly number[]): number[] {
  return above.slice(0, below.length).map((value, round) => value / below[round]!);
}

function row(
  key: string,
  title: string,
  bound: TargetRow["bound"],
  limit: number,
  figure: string,
  subject: string,
  peer: string,
  ofPython: boolean = false,
): TargetRow {
  return {
    key,
    title,
    bound,
    limit,
    ratios: (own, python) => over(own(figure, subject), (ofPython ? python : own)(figure, peer)),
  };
}

const P50 = "unary 1.p50", RATE = "unary 32.rate";

/** Every target, in the order of the table. */
export const targets: readonly TargetRow[] = [
  row(
    "p50-fetch",
    "direct unary p50 / hand-framed fetch",
    "at most",
    1.2,
    P50,
    "direct",
    "hand-framed fetch",
  ),
  row("p50-http2", "direct unary p50 / bare node:http2", "at most", 1.2, P50, "direct", "bare node:http2"),
  row("p50-connect", "direct unary p50 / connect-node", "at most", 0.65, P50, "direct", "connect-node"),
  row(
    "rate-fetch",
    "direct calls/s, 32 in flight / fetch",
    "at least",
    0.8,
    RATE,
    "direct",
    "hand-framed fetch",
  ),
  row(
    "rate-http2",
    "direct calls/s, 32 in flight / bare node:http2",
    "at least",
    0.8,
    RATE,
    "direct",
    "bare node:http2",
  ),
  row(
    "rate-connect",
    "direct calls/s, 32 in flight / connect-node",
    "at least",
    1.8,
    RATE,
    "direct",
    "connect-node",
  ),
  ...([["download", "server", 2], ["upload", "client", 1.5]] as const).map(([kind, title, limit]) =>
    row(
      `${kind}-connect`,
      `direct ${title} stream, 64 KiB / connect-node`,
      "at least",
      limit,
      `${kind} 65536.mbps`,
      "direct",
      "connect-node",
    )
  ),
  row("webrtc-p50", "WebRTC unary p50 / raw frames", "at most", 1.1, P50, "webrtc", "raw frames"),
  row(
    "webrtc-rate",
    "WebRTC calls/s, 32 in flight / raw frames",
    "at least",
    0.9,
    RATE,
    "webrtc",
    "raw frames",
  ),
  ...(["download", "upload"] as const).flatMap((kind) =>
    ([[65_536, "64 KiB"], [1_048_576, "1 MiB"]] as const).map(([size, title]) =>
      row(
        `webrtc-${kind}-${size}`,
        `WebRTC ${kind} MB/s, ${title} / raw frames`,
        "at least",
        0.9,
        `${kind} ${size}.mbps`,
        "webrtc",
        "raw frames",
      )
    )
  ),
  row("python-p50", "WebRTC unary p50 / Python SDK", "at most", 0.5, P50, "webrtc", "webrtc", true),
  row(
    "python-rate",
    "WebRTC calls/s, 32 in flight / Python SDK",
    "at least",
    2,
    RATE,
    "webrtc",
    "webrtc",
    true,
  ),
  ...(["download", "upload"] as const).map((kind) =>
    row(
      `python-${kind}`,
      `WebRTC ${kind} MB/s, 64 KiB / Python SDK`,
      "at least",
      2,
      `${kind} 65536.mbps`,
      "webrtc",
      "webrtc",
      true,
    )
  ),
  {
    key: "dial-floor",
    title: "WebRTC dial p50 / bare handshake and two round trips",
    bound: "at most",
    limit: 1.5,
    ratios: (own) => {
      const trips = own("signaling.roundTrip", "hand-framed fetch");
      const floor = own("dial.p50", "bare handshake").map((ms, round) => ms + 2 * trips[round]! / 1_000);
      return over(own("dial.p50", "webrtc"), floor);
    },
  },
  row("dial-python", "WebRTC dial p50 / Python SDK", "at most", 0.8, "dial.p50", "webrtc", "webrtc", true),
  ...(["Go peer", "embedded machine"] as const).flatMap((machine): TargetRow[] => [
    {
      key: `tail-${machine}`,
      title: `back-to-back dials of the ${machine}, p99 / p50`,
      bound: "at most",
      limit: 6,
      ratios: (own) => over(own("dial.p99", `tail, ${machine}`), own("dial.p50", `tail, ${machine}`)),
    },
    {
      key: `failures-${machine}`,
      title: `back-to-back dials of the ${machine}, failures`,
      bound: "at most",
      limit: 0,
      ratios: (own) => own("dial.failures", `tail, ${machine}`),
    },
  ]),
  {
    key: "redial",
    title: "WebRTC redial with a warm token / first dial of the process",
    bound: "at most",
    limit: 0.8,
    ratios: (own) => over(own("dial.p50", "webrtc, with a key"), own("dial.first", "webrtc, with a key")),
  },
  {
    key: "cold",
    title: "cold script to first direct answer / bare fetch script",
    bound: "at most",
    limit: 1.3,
    ratios: (own) => over(own("first answer.ms", "cold"), own("bare fetch.ms", "cold")),
  },
];

/** The state of a target on one runtime; undefined when it was not measured. */
export function standing(
  row: TargetRow,
  samples: Samples,
  runtime: string,
): { value: number; low: number; high: number; met: boolean } | undefined {
  const of = (where: string): Pick => (figure, subject) => samples[`${where}/${subject}`]?.[figure] ?? [];
  const ratios = row.ratios(of(runtime), of("python")).filter((ratio) => Number.isFinite(ratio));
  if (ratios.length === 0) return undefined;
  const value = median(ratios);
  const met = row.bound === "at most" ? value <= row.limit : value >= row.limit;
  return { value, low: Math.min(...ratios), high: Math.max(...ratios), met };
}
