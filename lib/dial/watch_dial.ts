import type { ViamChannel } from "../channel/channel.ts";
import { dialHeard } from "./dial.ts";
import { createEventQueue } from "../channel/event_queue.ts";
import type { DialEvent } from "../events.ts";
import type { DialOptions } from "../options/options.ts";

/** A dial under way: a loop over it has each step as it ends, and is over when the dial is, however that went. */
export interface DialWatch extends AsyncIterable<DialEvent> {
  /** What the dial leads to: the channel, or what `dial` throws. */
  readonly channel: Promise<ViamChannel>;
}

/**
 * Dials as {@link dial} does, and shows the steps of it in a `for await` loop: for a user interface, or a log of its own.
 *
 * Source: none elsewhere; the steps are those of {@link DialPhase}.
 *
 * @param address As for `dial`.
 * @param options As for `dial`; `onEvent` is told as well.
 *
 * @example
 * ```ts
 * import { watchDial } from "@viam-dial/dial";
 * import { startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine({ auth: "none" });
 * const watch = watchDial(robot.address, { insecure: true });
 * for await (const event of watch) {
 *   if (event.type === "progress") console.log(event.entry.phase, event.entry.detail);
 * }
 * await using machine = await watch.channel;
 * console.log(machine.state); // connected
 * ```
 */
export function watchDial(address: string | URL, options?: DialOptions): DialWatch {
  const events = createEventQueue<DialEvent>(() => {});
  const channel = dialHeard(address, options, events.push);
  channel.then(events.end, events.end);
  return { channel, [Symbol.asyncIterator]: () => events };
}
