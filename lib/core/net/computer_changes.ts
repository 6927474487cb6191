/** Interval of the looks at the computer, in milliseconds. */
export const COMPUTER_LOOK_MS = 1_000;

/** A look that is so late follows a sleep, or a stop of the program, in milliseconds. */
const LATE_MS = 2_000;

/**
 * The addresses of this computer, but for those of loopback, in a form that can be compared.
 *
 * @param interfaces In the form of `node:os`.
 */
export function describeAddresses(
  interfaces: Readonly<Record<string, readonly { address: string; internal: boolean }[] | undefined>>,
): string {
  return Object.entries(interfaces).flatMap(([name, entries]) =>
    (entries ?? []).filter(({ internal }) => !internal).map(({ address }) => `${name} ${address}`)
  ).toSorted().join(", ");
}

/** The default routes in Linux' table of IPv4 routes (proc_net(5), `/proc/net/route`). */
export function describeDefaultRoutes(table: string): string {
  return table.split("\n").slice(1).map((line) => line.split("\t"))
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .map(([name, , gateway]) => `${name} via ${gateway}`).toSorted().join(", ");
}

/**
 * Notices that this computer has slept, or is on another network. The clock of timers stands still during a sleep on some
 * systems, and the clock on the wall is sometimes set; either tells of a sleep.
 */
export class ComputerChanges {
  #at: number;
  #wallAt: number;
  #network: string;

  /**
   * @param now Milliseconds on a clock that does not go back.
   * @param wall Milliseconds on the clock on the wall.
   * @param network Addresses and routes; any text that changes with them.
   */
  constructor(now: number, wall: number, network: string) {
    this.#at = now;
    this.#wallAt = wall;
    this.#network = network;
  }

  /** Takes a look, every `COMPUTER_LOOK_MS`. Returns whether something has changed. */
  look(now: number, wall: number, network: string): boolean {
    const elapsed = Math.max(now - this.#at, wall - this.#wallAt);
    const changed = elapsed >= COMPUTER_LOOK_MS + LATE_MS || network !== this.#network;
    this.#at = now;
    this.#wallAt = wall;
    this.#network = network;
    return changed;
  }
}
