/**
 * The machine that the examples dial: the one that VIAM_ADDRESS, VIAM_API_KEY and VIAM_API_KEY_ID name or, without
 * them, one in this process, with a sensor, a motor, a board and a shell.
 */
import { createHash, type Hash } from "node:crypto";
import process from "node:process";
import { setTimeout as wait } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { DialOptions } from "@viam-dial/dial";
import { type Routes, startMachine } from "@viam-dial/dial/testing";
import { BoardService } from "./proto/gen/viam/component/board/v1/board_pb.ts";
import { MotorService } from "./proto/gen/viam/component/motor/v1/motor_pb.ts";
import { SensorService } from "./proto/gen/viam/component/sensor/v1/sensor_pb.ts";
import { ShellService } from "./proto/gen/viam/service/shell/v1/shell_pb.ts";

/** The address to dial, and its options. */
export interface Robot extends AsyncDisposable {
  readonly address: string;
  readonly options: DialOptions;
  /** Cuts every connection, if the machine is in this process. */
  readonly cut: () => void;
}

/** Finds the machine that the environment names, or starts one. */
export async function findRobot(): Promise<Robot> {
  const { VIAM_ADDRESS: address, VIAM_API_KEY: key, VIAM_API_KEY_ID: id } = process.env;
  if (address !== undefined) {
    const tls = /^(localhost|127\.)/.test(address) ? { insecure: true } : {};
    const options = key === undefined ? tls : DialOptions.withApiKey(key, id ?? "", tls);
    return { address, options, cut: () => {}, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const machine = await startMachine({ routes: robotRoutes });
  return {
    address: machine.address,
    options: DialOptions.withApiKey(machine.apiKey, machine.apiKeyId, { insecure: true }),
    cut: () => machine.dropConnections(),
    [Symbol.asyncDispose]: () => machine.close(),
  };
}

/** A thermometer, a wheel that counts its turns, a board with a pin that ticks, and a shell that takes files. */
export const robotRoutes: Routes = (router) => {
  router.service(SensorService, {
    getReadings: () => ({ readings: { celsius: { kind: { case: "numberValue", value: 21.5 } } } }),
  });
  const wheel = { position: 0, rpm: 0, since: Date.now(), stopping: new AbortController() };
  /** Turns the wheel at another speed from now on. */
  function turn(rpm: number): void {
    const now = Date.now();
    wheel.position += wheel.rpm * (now - wheel.since) / 60_000;
    wheel.rpm = rpm;
    wheel.since = now;
  }
  router.service(MotorService, {
    setPower: ({ powerPct }) => (turn(100 * powerPct), {}),
    getPosition: () => (turn(wheel.rpm), { position: wheel.position }),
    // The machine calls it, too: for a program that is gone, when its session has expired.
    stop: () => {
      turn(0);
      wheel.stopping.abort();
      wheel.stopping = new AbortController();
      return {};
    },
    async goFor({ rpm, revolutions }, { signal }) {
      turn(Math.sign(revolutions) * rpm);
      const stopped = AbortSignal.any([signal, wheel.stopping.signal]);
      await wait(Math.abs(revolutions / rpm) * 60_000, undefined, { signal: stopped }).catch(() => {});
      turn(0);
      return {};
    },
  });
  router.service(BoardService, {
    async *streamTicks({ pinNames }, { signal }) {
      for (let tick = 0, time = 0; !signal.aborted; tick++) {
        await wait(5);
        time += 10 + 6 * Math.sin(tick / 4); // a wheel that speeds up and slows down
        yield { pinName: pinNames[0]!, high: tick % 2 === 0, time: BigInt(Math.round(time * 1e6)) };
      }
    },
  });
  router.service(ShellService, {
    // Refuses what viam-server refuses, in the same words (rdk, services/shell/copy_rpc.go).
    async *copyFilesToMachine(requests) {
      let started = false;
      let file: { readonly name: string; readonly hash: Hash } | undefined;
      for await (const { request } of requests) {
        if (!started) {
          if (request.case !== "metadata") {
            throw new ConnectError("expected copy request metadata", Code.Unknown);
          }
          started = true;
          continue;
        }
        if (request.case !== "fileData") {
          throw new ConnectError("expected copy request file data", Code.Unknown);
        }
        const { name, data, eof } = request.value;
        if (file !== undefined && name !== "") {
          const text = `unexpected file name "${name}" while reading current file "${file.name}"`;
          throw new ConnectError(text, Code.Unknown);
        }
        if (file === undefined && name === "") throw new ConnectError("file name blank", Code.Unknown);
        file ??= { name, hash: createHash("sha256") };
        // Data beside `eof` is lost on a real machine, too.
        if (!eof) {
          file.hash.update(data);
          continue;
        }
        console.log(`machine: ${file.name} arrived, sha256 ${file.hash.digest("hex").slice(0, 16)}`);
        file = undefined;
        yield { ackLastFile: true };
      }
    },
  });
};
