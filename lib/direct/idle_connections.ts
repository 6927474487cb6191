/**
 * Time without a call after which idle connections are looked at before one is used again, in milliseconds. Servers keep
 * idle ones for 5 s and more, and a session's heartbeat between two computations has to go out at once.
 */
const UNSEEN_MS = 3_000;

/** Lets a runtime see which of its idle connections the server has closed. */
export interface IdleConnections {
  /** Notes that a connection carries something now. */
  used(): void;
  /** Undefined if a call may use an idle connection now, else a promise of the moment at which it may. */
  seen(): Promise<void> | undefined;
}

/**
 * While a program computes, its runtime does not see that a server closes connections. A call on one of these fails
 * after it may have been sent, so nobody can make it again.
 */
export function watchIdleConnections(): IdleConnections {
  let usedAt = performance.now();
  let seeing: Promise<void> | undefined;
  return {
    used() {
      usedAt = performance.now();
    },
    seen() {
      if (seeing !== undefined || performance.now() - usedAt <= UNSEEN_MS) return seeing;
      // Twice: the first may come before the runtime has looked at its sockets.
      seeing = new Promise<void>((resolve) => setTimeout(() => setTimeout(resolve))).then(() => {
        usedAt = performance.now();
        seeing = undefined;
      });
      return seeing;
    },
  };
}
