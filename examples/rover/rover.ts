/** The program under test: it drives towards a wall, and stops in front of it. */
import { createClient, type Transport } from "@connectrpc/connect";
import { MotorService } from "../proto/gen/viam/component/motor/v1/motor_pb.ts";
import { SensorService } from "../proto/gen/viam/component/sensor/v1/sensor_pb.ts";

/** Drives until the distance sensor reads less than `stopAt` metres; returns the last reading. */
export async function approach(machine: Transport, stopAt: number): Promise<number> {
  const motors = createClient(MotorService, machine), sensors = createClient(SensorService, machine);
  try {
    await motors.setPower({ name: "wheels", powerPct: 0.5 });
    for (;;) {
      const { readings } = await sensors.getReadings({ name: "distance" }, { timeoutMs: 1_000 });
      const { kind } = readings["metres"]!;
      if (kind.case !== "numberValue") throw new TypeError("the distance sensor reads no number");
      if (kind.value < stopAt) return kind.value;
    }
  } finally {
    await motors.stop({ name: "wheels" });
  }
}
