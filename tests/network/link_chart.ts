/** One client in the chart of a link. */
export interface LinkChart {
  readonly samples: readonly { readonly atMs: number; readonly bytes: number; readonly capacity: number }[];
  readonly calls: readonly { readonly atMs: number; readonly tookMs: number }[];
}

const WIDTH = 860, LEFT = 60, RIGHT = 20, PANEL = 150, GAP = 50, TOP = 40;

/** Draws the rate of a link that changes and the time of small calls over it. Reads on light and dark. */
export function linkChart(charts: ReadonlyMap<string, LinkChart>): string {
  const all = [...charts.values()];
  const endMs = Math.max(...all.flatMap(({ samples }) => samples.map(({ atMs }) => atMs)));
  const mostMs = Math.max(1_000, ...all.flatMap(({ calls }) => calls.map(({ tookMs }) => tookMs)));
  const rates = all.map(({ samples }) => ratesOf(samples, "bytes"));
  const given = ratesOf(all[0]!.samples, "capacity");
  const mostRate = Math.max(...[...rates.flat(), ...given].map(({ value }) => value));
  const x = (atMs: number) => LEFT + atMs / endMs * (WIDTH - LEFT - RIGHT);
  const y = (panel: number, share: number) => TOP + panel * (PANEL + GAP) + PANEL * (1 - share);
  const points = (panel: number, most: number, values: readonly { atMs: number; value: number }[]) =>
    values.map(({ atMs, value }) => `${x(atMs).toFixed(1)},${y(panel, value / most).toFixed(1)}`).join(" ");
  const names = [...charts.keys()];
  const axis = (panel: number, label: string, most: string) => [
    `<text x="${LEFT}" y="${y(panel, 1) - 8}">${label}</text>`,
    `<text x="${LEFT - 6}" y="${y(panel, 1) + 4}" text-anchor="end">${most}</text>`,
    `<text x="${LEFT - 6}" y="${y(panel, 0) + 4}" text-anchor="end">0</text>`,
    `<line x1="${LEFT}" y1="${y(panel, 0)}" x2="${WIDTH - RIGHT}" y2="${y(panel, 0)}"/>`,
  ];
  const seconds = Array.from(
    { length: Math.floor(endMs / 5_000) + 1 },
    (_, index) =>
      `<text x="${x(index * 5_000)}" y="${y(1, 0) + 18}" text-anchor="middle">${index * 5} s</text>`,
  );
  const height = y(1, 0) + 30;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>An upload on a link of 1 Mbit/s that becomes 10 and 1 again, and the time of small calls beside it</title>
<style>
text { font: 12px sans-serif; fill: #7d8590; } line { stroke: #7d8590; } polyline { fill: none; stroke-width: 1.5; }
.l0 { stroke: #2f81f7; } .l1 { stroke: #d18616; } .given { stroke: #7d8590; stroke-dasharray: 4 3; }
.b0 { fill: #2f81f7; } .b1 { fill: #d18616; }
</style>
${
    names.map((name, index) =>
      `<text x="${WIDTH - RIGHT - 60 * (names.length - index)}" y="16" class="b${index}">${name}</text>`
    ).join("\n")
  }
${axis(0, "rate of the upload, Mbit/s (dashed: of the link)", (mostRate * 8 / 1e6).toFixed(0)).join("\n")}
<polyline class="given" points="${points(0, mostRate, given)}"/>
${
    rates.map((values, index) => `<polyline class="l${index}" points="${points(0, mostRate, values)}"/>`)
      .join("\n")
  }
${axis(1, "time of a small call, ms", mostMs.toFixed(0)).join("\n")}
${
    all.map(({ calls }, index) => {
      const values = calls.map(({ atMs, tookMs }) => ({ atMs, value: tookMs })).toSorted((one, other) =>
        one.atMs - other.atMs
      );
      return `<polyline class="l${index}" points="${points(1, mostMs, values)}"/>`;
    }).join("\n")
  }
${seconds.join("\n")}
</svg>
`;
}

/** Bytes a second between each two samples. */
function ratesOf(
  samples: LinkChart["samples"],
  what: "bytes" | "capacity",
): { atMs: number; value: number }[] {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index]!;
    return { atMs: sample.atMs, value: (sample[what] - before[what]) / (sample.atMs - before.atMs) * 1_000 };
  });
}
