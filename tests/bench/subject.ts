/** Something that makes the measured call. */
export interface Subject {
  /** One unary call of 64 bytes each way. */
  unary(): Promise<void>;
  close(): Promise<void>;
}

/** What one round says of one subject. */
export interface Figures {
  /** Median latency of one call at a time, in microseconds. */
  readonly p50: number;
  /** Calls a second with 32 in flight. */
  readonly rate: number;
}

const SEQUENTIAL_CALLS = 1_500;
const WORKERS = 32;
const CALLS_A_WORKER = 200;

/** Measures one round. */
export async function measure(subject: Subject): Promise<Figures> {
  const latencies = new Float64Array(SEQUENTIAL_CALLS);
  for (let call = 0; call < SEQUENTIAL_CALLS; call++) {
    const start = performance.now();
    await subject.unary();
    latencies[call] = performance.now() - start;
  }
  latencies.sort();
  const start = performance.now();
  await Promise.all(Array.from({ length: WORKERS }, async () => {
    for (let call = 0; call < CALLS_A_WORKER; call++) await subject.unary();
  }));
  const seconds = (performance.now() - start) / 1_000;
  return { p50: latencies[SEQUENTIAL_CALLS / 2]! * 1_000, rate: WORKERS * CALLS_A_WORKER / seconds };
}
