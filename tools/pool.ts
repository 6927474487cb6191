/** Runs jobs beside each other. */

/** Something to run. */
export interface Job {
  /** Jobs of the same lane run one at a time. */
  readonly lane?: string | undefined;
  /** Mostly waits: takes one of as many slots more. */
  readonly waits?: boolean | undefined;
  /** Starts only once this has settled. */
  readonly after?: Promise<unknown> | undefined;
  run(): Promise<void>;
}

/**
 * Runs every job, at most `slots` at a time, and beside them as many of those that mostly wait: each free slot takes
 * the first job that can start.
 */
export async function runPool(jobs: readonly Job[], slots: number): Promise<void> {
  const waiting = [...jobs], held = new Set<Job>(), running = new Set<Job>();
  const canStart = (job: Job) => {
    if (held.has(job)) return false;
    const others = [...running], { waits: doesWait = false } = job;
    return others.filter(({ waits = false }) => waits === doesWait).length < slots &&
      !others.some(({ lane }) => lane !== undefined && lane === job.lane);
  };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const start = () => {
    for (let index = waiting.findIndex(canStart); index >= 0; index = waiting.findIndex(canStart)) {
      const [job] = waiting.splice(index, 1) as [Job];
      running.add(job);
      job.run().then(() => {
        running.delete(job);
        start();
      }, reject);
    }
    if (waiting.length === 0 && running.size === 0) resolve();
  };
  for (const job of jobs) {
    if (job.after === undefined) continue;
    held.add(job);
    const release = () => {
      held.delete(job);
      start();
    };
    job.after.then(release, release);
  }
  start();
  await promise;
}
