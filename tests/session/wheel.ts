/** A machine with wheels that turn until they are told to stop. */

import { type Machine, type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";

/** A machine with wheels. */
export interface WheelMachine extends AsyncDisposable {
  readonly machine: Machine;
  /** The names of the wheels that turn. */
  readonly turning: ReadonlySet<string>;
  /** Calls that have reached a handler, by method. */
  readonly handled: readonly string[];
  /** The requests that reached a handler of a client or bidirectional stream, in order. */
  readonly requests: readonly number[];
  /** Resolves once the wheel stands, which it may already. */
  stopped(name: string): Promise<void>;
}

/** Starts one, which lets everybody in by default. */
export async function startWheelMachine(options: MachineOptions = {}): Promise<WheelMachine> {
  const turning = new Set<string>();
  const handled: string[] = [];
  const requests: number[] = [];
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const turn = (name: string) => void turning.add(name);

  const machine = await startMachine({
    auth: "none",
    routes: (router) => {
      router.service(WheelService, {
        turn({ name, turns }) {
          handled.push("Turn");
          turn(name);
          return { turns };
        },
        async *turnOften({ name, turns }) {
          handled.push("TurnOften");
          turn(name);
          for (let index = 1; index <= turns; index++) yield { turns: index };
        },
        async turnTogether(asked) {
          handled.push("TurnTogether");
          let sum = 0;
          for await (const { name, turns } of asked) {
            turn(name);
            requests.push(turns);
            sum += turns;
          }
          return { turns: sum };
        },
        async *turnAlong(asked) {
          handled.push("TurnAlong");
          for await (const { name, turns } of asked) {
            turn(name);
            requests.push(turns);
            yield { turns };
          }
        },
        stop({ name }) {
          handled.push("Stop");
          turning.delete(name);
          waiting.get(name)?.resolve();
          waiting.delete(name);
          return {};
        },
      });
    },
    ...options,
  });
  return {
    machine,
    turning,
    handled,
    requests,
    stopped(name) {
      if (!turning.has(name)) return Promise.resolve();
      const waits = waiting.get(name) ?? Promise.withResolvers<void>();
      waiting.set(name, waits);
      return waits.promise;
    },
    [Symbol.asyncDispose]: () => machine.close(),
  };
}
