/** Measurements: by subject (`runtime/name`) and figure, one number a round; NaN where a round failed. */
export type Samples = Record<string, Record<string, number[]>>;

/** Adds the figures of one round, with a prefix to each name. */
export function add(
  samples: Samples,
  subject: string,
  prefix: string,
  figures: Record<string, number>,
): void {
  const own = samples[subject] ??= {};
  for (const [name, value] of Object.entries(figures)) (own[`${prefix}.${name}`] ??= []).push(value);
}

export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.filter((number) => !Number.isNaN(number)).toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

export function median(numbers: readonly number[]): number {
  return quantile(numbers, 0.5);
}
