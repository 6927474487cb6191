/** Summarises round trips, in milliseconds, of a number of calls. */
export function summarize(sent: number, times: readonly number[]) {
  const answered = times.length;
  const lostPercent = sent === 0 ? 0 : Math.round(100 * (sent - answered) / sent);
  if (answered === 0) return { sent, answered, lostPercent };
  const sorted = times.toSorted((one, other) => one - other);
  const middle = answered >> 1;
  return {
    sent,
    answered,
    lostPercent,
    minMs: sorted[0]!,
    meanMs: times.reduce((sum, ms) => sum + ms, 0) / answered,
    medianMs: answered % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    maxMs: sorted.at(-1)!,
  };
}
