import assert from "node:assert/strict";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { MotorService } from "../../examples/proto/gen/viam/component/motor/v1/motor_pb.ts";
import { isMonitored } from "../../lib/core/session/monitored_methods.ts";
import { isSessionExpired } from "../../lib/core/session/session_expired.ts";
import { rawMethod } from "../../lib/rpc/raw_method.ts";
import { WheelService } from "../session/proto/gen/viam_dial/test/v1/wheel_pb.ts";
import { test } from "../harness.ts";

test(
  "isMonitored() reads the option of a descriptor, and knows Viam's own methods where there is none",
  () => {
    const table: readonly (readonly [method: DescMethod, monitored: boolean])[] = [
      [MotorService.method.setPower, true],
      [MotorService.method.goFor, true],
      [MotorService.method.getPosition, false],
      [MotorService.method.stop, false],
      [WheelService.method.turn, true],
      [WheelService.method.turnOften, true],
      [WheelService.method.turnTogether, true],
      [WheelService.method.turnAlong, true],
      [WheelService.method.stop, false],
      [rawMethod("/viam.component.motor.v1.MotorService/SetPower", "unary"), true],
      [rawMethod("/viam.component.motor.v1.MotorService/Stop", "unary"), false],
      [
        rawMethod("/viam.component.arm.v1.ArmService/MoveThroughJointPositionsStreamed", "bidi_streaming"),
        true,
      ],
      [rawMethod("/acme.component.motor.v1.MotorService/SetPower", "unary"), false],
    ];
    for (const [method, monitored] of table) {
      assert.equal(isMonitored(method), monitored, `${method.parent.typeName}/${method.name}`);
    }
  },
  { pure: true },
);

test("isSessionExpired() takes InvalidArgument with exactly viam-server's text, and nothing like it", () => {
  const table: readonly (readonly [error: unknown, expired: boolean])[] = [
    [new ConnectError("SESSION_EXPIRED", Code.InvalidArgument), true],
    [new ConnectError("SESSION_EXPIRED", Code.FailedPrecondition), false],
    [new ConnectError("SESSION_EXPIRED.", Code.InvalidArgument), false],
    [new ConnectError("session_expired", Code.InvalidArgument), false],
    [new ConnectError("", Code.InvalidArgument), false],
    [new Error("SESSION_EXPIRED"), false],
    [undefined, false],
  ];
  for (const [error, expired] of table) assert.equal(isSessionExpired(error), expired, `${error}`);
}, { pure: true });
