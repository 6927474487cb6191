import type { Samples } from "./samples.ts";
import { standing, targets } from "./targets.ts";

const ROW = 34, TOP = 64, LEFT = 500, WIDTH = 1_060, BAR = 460;

/**
 * Draws each target with a bar for each runtime: to the right of the line if the target is exceeded, to the left if it
 * is missed, on a scale of doublings. Colours are of middle lightness and the background is transparent, so that the
 * chart reads on light and dark.
 */
export function chart(samples: Samples): string {
  const rows = targets.filter(({ limit }) => limit > 0)
    .map((row) => ({ row, deno: standing(row, samples, "deno"), bun: standing(row, samples, "bun") }))
    .filter(({ deno, bun }) => deno !== undefined || bun !== undefined);
  const height = TOP + rows.length * ROW + 24;
  const middle = LEFT + BAR / 2;
  const lines = rows.flatMap(({ row, deno, bun }, index) => {
    const y = TOP + index * ROW;
    const bars = [deno, bun].flatMap((now, which) => {
      if (now === undefined) return [];
      const better = row.bound === "at most" ? row.limit / now.value : now.value / row.limit;
      const length = Math.max(-1, Math.min(1, Math.log2(better) / 2)) * BAR / 2;
      const [x, width] = length < 0 ? [middle + length, -length] : [middle, length];
      const at = y + 4 + which * 12;
      return [
        `<rect x="${x.toFixed(1)}" y="${at}" width="${
          Math.max(1, width).toFixed(1)
        }" height="10" class="b${which}"/>`,
        `<text x="${WIDTH - 8}" y="${at + 9}" text-anchor="end" class="small">${now.value.toFixed(2)}</text>`,
      ];
    });
    const label = `${row.title} (${row.bound} ${row.limit})`.replaceAll("&", "&amp;");
    return [`<text x="${LEFT - 12}" y="${y + 19}" text-anchor="end">${label}</text>`, ...bars];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>How far each target is exceeded or missed, on Deno and on Bun</title>
<style>
text { font: 12px sans-serif; fill: #7d8590; } .small { font-size: 10px; }
.b0 { fill: #2f81f7; } .b1 { fill: #d18616; } line { stroke: #7d8590; }
</style>
<rect x="${LEFT}" y="14" width="12" height="10" class="b0"/><text x="${LEFT + 18}" y="23">Deno</text>
<rect x="${LEFT + 70}" y="14" width="12" height="10" class="b1"/><text x="${LEFT + 88}" y="23">Bun</text>
<text x="${middle - 8}" y="50" text-anchor="end">missed</text><text x="${middle + 8}" y="50">exceeded</text>
<line x1="${middle}" y1="40" x2="${middle}" y2="${height - 12}"/>
${lines.join("\n")}
</svg>
`;
}
