/**
 * Drives a motor for as long as a deadline allows, and stops it. If this program is killed, hangs or loses its network
 * meanwhile, its session expires and the machine stops the motor, after 2 s by default.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { dial } from "@viam-dial/dial";
import { MotorService } from "./proto/gen/viam/component/motor/v1/motor_pb.ts";
import { findRobot } from "./robot.ts";

await using robot = await findRobot();
await using machine = await dial(robot.address, { ...robot.options, session: true });
const motors = createClient(MotorService, machine);
const name = "wheel";

async function drive(revolutions: number, timeoutMs: number): Promise<void> {
  try {
    await motors.goFor({ name, rpm: 600, revolutions }, { timeoutMs });
    console.log(`turned ${revolutions} times`);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.DeadlineExceeded) throw error;
    console.log(`not done after ${timeoutMs} ms: given up`);
  } finally {
    await motors.stop({ name });
  }
}

await drive(1, 10_000); // takes 100 ms
await drive(100_000, 300); // would take hours
const { position } = await motors.getPosition({ name });
console.log(position < 100_000 ? "the wheel stopped on the way" : "the wheel went all the way");
