/** A link with delay, loss and a limited rate: the program `tests/interop/go/cmd/link` between two TUN devices. */

import { buildGo } from "../interop/requirements.ts";
import { lines } from "./lines.ts";

/** The effect of a link on the packets of each direction. */
export interface LinkShape {
  /** One way, in milliseconds; 0 by default. */
  readonly delayMs?: number;
  /** The delay of each packet differs by up to so much, either way. Packets stay in order. */
  readonly jitterMs?: number;
  /** The share of packets that get lost, from 0 to 1. */
  readonly loss?: number;
  /** The rate; no limit by default. */
  readonly bitsPerSecond?: number;
  /** The longest queue in front of the rate, in milliseconds; 400 by default. */
  readonly queueMs?: number;
  /** Loses every packet. */
  readonly cut?: boolean;
}

/** Counts of packets of one direction. */
export interface LinkCounts {
  readonly delivered: number;
  readonly bytes: number;
  readonly lost: number;
  /** Packets that found the queue full. */
  readonly full: number;
}

/** A running link. It ends with its namespace. */
export interface Link {
  shape(shape: LinkShape): Promise<void>;
  /** Describes each packet in a line of this file; undefined ends that. */
  trace(file: string | undefined): Promise<void>;
  counts(): Promise<{ readonly there: LinkCounts; readonly back: LinkCounts }>;
}

/** Starts the program by `start`; resolves once both devices exist. */
export async function startLink(
  start: (
    command: string,
    args: readonly string[],
    options: Omit<Deno.CommandOptions, "args">,
  ) => Deno.ChildProcess,
  devices: readonly [string, string],
): Promise<Link> {
  const child = start(`${await buildGo()}/link`, devices, { stdin: "piped", stdout: "piped" });
  const writer = child.stdin.getWriter();
  const answers = lines(child.stdout);
  let last: Promise<unknown> = Promise.resolve();

  /** Each order has one answer, in order. */
  function order(text: string): Promise<unknown> {
    const answer = last.then(async () => {
      if (text !== "") await writer.write(new TextEncoder().encode(text));
      const { value, done } = await answers.next();
      if (done) throw new Error(`the link between ${devices.join(" and ")} ended`);
      return JSON.parse(value);
    });
    last = answer.catch(() => {});
    return answer;
  }

  await order("");
  return {
    async shape(shape) {
      await order(JSON.stringify({ shape }));
    },
    async trace(file) {
      await order(JSON.stringify({ trace: file ?? "" }));
    },
    counts: () => order("{}") as ReturnType<Link["counts"]>,
  };
}
