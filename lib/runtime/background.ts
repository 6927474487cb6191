/** Work that goes on after the result that it was begun for, and that the end waits for. */
export interface Background {
  /** Adds work, whatever becomes of it. */
  add(work: Promise<unknown>): void;
  /** True if nothing is under way. */
  readonly isIdle: boolean;
  /** Resolves when all work is over, with what is added meanwhile. Never rejects. */
  over(): Promise<void>;
}

/** Starts without any work. */
export function createBackground(): Background {
  const works = new Set<Promise<void>>();
  return {
    add(work) {
      const done = () => void works.delete(one);
      const one = work.then(done, done);
      works.add(one);
    },
    get isIdle() {
      return works.size === 0;
    },
    async over() {
      while (works.size > 0) await Promise.all(works);
    },
  };
}
