/** A machine whose wall comes nearer with every reading, and which records the commands to its wheels. */
import { type Machine, startMachine } from "@viam-dial/dial/testing";
import { MotorService } from "../proto/gen/viam/component/motor/v1/motor_pb.ts";
import { SensorService } from "../proto/gen/viam/component/sensor/v1/sensor_pb.ts";

export async function startWorld(): Promise<{ machine: Machine; powers: number[] }> {
  const powers: number[] = [];
  let metres = 3;
  const machine = await startMachine({
    routes: (router) => {
      router.service(SensorService, {
        getReadings: () => ({
          readings: { metres: { kind: { case: "numberValue", value: metres -= 0.5 } } },
        }),
      });
      router.service(MotorService, {
        setPower: ({ powerPct }) => (powers.push(powerPct), {}),
        stop: () => (powers.push(0), {}),
      });
    },
  });
  return { machine, powers };
}
