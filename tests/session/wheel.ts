/** Wheels that turn until they are told to stop, and a machine that has them. */

import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { type Machine, type MachineOptions, type Routes, startMachine } from "../../lib/testing/mod.ts";
import { WheelService } from "./proto/gen/viam_dial/test/v1/wheel_pb.ts";

/** The state of wheels. */
export interface Wheels {
  readonly routes: Routes;
  /** The names of the wheels that turn. */
  readonly turning: ReadonlySet<string>;
  /** Calls that have reached a handler, by method. */
  readonly handled: string[];
  /** The session ids that calls carried, whether they were refused or not. */
  readonly ids: (string | null)[];
  /** The names of the headers that the last monitored call carried. */
  readonly headers: string[];
  /** Refuses so many calls from now on, as one of an unknown session. */
  refuse(calls: number): void;
  /** The sum of the turns that a client or bidirectional stream asked for. */
  readonly turns: number;
  /** Resolves once the wheel stands, which it may already. */
  stopped(name: string): Promise<void>;
}

/** A machine with wheels. */
export interface WheelMachine extends Wheels, AsyncDisposable {
  readonly machine: Machine;
}

/** Starts one, which lets everybody in by default. */
export async function startWheelMachine(options: MachineOptions = {}): Promise<WheelMachine> {
  const wheels = createWheels();
  const machine = await startMachine({ auth: "none", routes: wheels.routes, ...options });
  return Object.assign(wheels, { machine, [Symbol.asyncDispose]: () => machine.close() });
}

/** Makes wheels, for a machine to have. */
export function createWheels(): Wheels {
  const turning = new Set<string>();
  const handled: string[] = [];
  const ids: (string | null)[] = [];
  let turns = 0, refusals = 0, headers: string[] = [];
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const turn = (name: string) => void turning.add(name);
  /** The first step of every monitored method. */
  function enter(method: string, { requestHeader }: HandlerContext): void {
    ids.push(requestHeader.get("viam-sid"));
    headers = [...requestHeader.keys()];
    if (refusals > 0) {
      refusals--;
      throw new ConnectError("SESSION_EXPIRED", Code.InvalidArgument);
    }
    handled.push(method);
  }

  const routes: Routes = (router) => {
    router.service(WheelService, {
      turn({ name, turns }, context) {
        enter("Turn", context);
        turn(name);
        return { turns };
      },
      async *turnOften({ name, turns }, context) {
        enter("TurnOften", context);
        turn(name);
        for (let index = 1; index <= turns; index++) yield { turns: index };
      },
      async turnTogether(asked, context) {
        let sum = 0;
        for await (const request of asked) {
          if (sum === 0) enter("TurnTogether", context);
          turn(request.name);
          turns += request.turns;
          sum += request.turns;
        }
        return { turns: sum };
      },
      async *turnAlong(asked, context) {
        let isFirst = true;
        for await (const request of asked) {
          if (isFirst) enter("TurnAlong", context);
          isFirst = false;
          turn(request.name);
          turns += request.turns;
          yield { turns: request.turns };
        }
      },
      report: () => ({ turning: [...turning], handled, sessionIds: ids.map((id) => id ?? "") }),
      stop({ name }) {
        handled.push("Stop");
        turning.delete(name);
        waiting.get(name)?.resolve();
        waiting.delete(name);
        return {};
      },
    });
  };
  return {
    routes,
    turning,
    handled,
    ids,
    refuse(calls) {
      refusals = calls;
    },
    get headers() {
      return headers;
    },
    get turns() {
      return turns;
    },
    stopped(name) {
      if (!turning.has(name)) return Promise.resolve();
      const waits = waiting.get(name) ?? Promise.withResolvers<void>();
      waiting.set(name, waits);
      return waits.promise;
    },
  };
}
