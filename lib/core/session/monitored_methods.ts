import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { safety_heartbeat_monitored } from "../../../proto/gen/viam/common/v1/common_pb.ts";

/** The monitored methods of Viam's own components, by service under `viam.component`. */
const COMPONENTS: Readonly<Record<string, readonly string[]>> = {
  "arm.v1.ArmService": [
    "MoveToPosition",
    "MoveToJointPositions",
    "MoveThroughJointPositions",
    "MoveThroughJointPositionsStreamed",
  ],
  "base.v1.BaseService": ["MoveStraight", "Spin", "SetPower", "SetVelocity"],
  "button.v1.ButtonService": ["Push"],
  "gantry.v1.GantryService": ["MoveToPosition"],
  "gripper.v1.GripperService": ["Open", "Grab", "GoToInputs"],
  "motor.v1.MotorService": ["SetPower", "GoFor", "GoTo", "SetRPM"],
  "servo.v1.ServoService": ["Move"],
  "switch.v1.SwitchService": ["SetPosition"],
  "testecho.v1.TestEchoService": ["EchoMultiple"],
};

/**
 * The methods that the Viam API marks as monitored, as `/package.Service/Method`: for descriptors that carry no
 * options, such as those of raw methods and of files that were cut down.
 *
 * Source: `viam/component/*` of the Viam API; `tests/interop/session_test.ts` holds it against what reflection answers.
 */
export const MONITORED_METHODS: ReadonlySet<string> = new Set(
  Object.entries(COMPONENTS).flatMap(([service, methods]) =>
    methods.map((method) => `/viam.component.${service}/${method}`)
  ),
);

/**
 * Tells whether a machine monitors a method: when the session that was the last to call it ends, the machine stops
 * what it moves. The method's option `viam.common.v1.safety_heartbeat_monitored` says so; without the option, the
 * list above does.
 */
export function isMonitored(method: DescMethod): boolean {
  return hasOption(method, safety_heartbeat_monitored)
    ? getOption(method, safety_heartbeat_monitored)
    : MONITORED_METHODS.has(`/${method.parent.typeName}/${method.name}`);
}
