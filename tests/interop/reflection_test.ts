import assert from "node:assert/strict";
import { fromJson, toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { isMonitored } from "../../lib/core/session/monitored_methods.ts";
import { dial, type DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

const skip = missing("go");

const WAYS: readonly (readonly [name: string, flags: readonly string[], options: DialOptions])[] = [
  ["over WebRTC", [], {}],
  ["directly", [], { disableWebrtc: true }],
  ["over native gRPC alone", ["-protocols", "grpc"], { disableWebrtc: true }],
];

for (const [name, flags, options] of WAYS) {
  test(`reflect() reads grpc-go's reflection ${name}, and calls what it describes`, async () => {
    await using machine = await startGoMachine(...flags);
    await using channel = await dial(machine.address, { ...options, insecure: true });
    const reflection = await channel.reflect();
    assert.deepEqual(reflection.undescribed, []);
    // The options of methods come along: which ones a session is for.
    const wheels = reflection.getService("viam_dial.test.v1.WheelService")!.methods;
    const monitored = wheels.filter(isMonitored).map(({ name }) => name);
    assert.deepEqual(monitored, ["Turn", "TurnOften", "TurnTogether", "TurnAlong"]);
    assert.deepEqual(reflection.services.map(({ typeName }) => typeName).toSorted(), [
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "proto.rpc.examples.echo.v1.EchoService",
      "viam.robot.v1.RobotService",
      "viam_dial.probe.v1.ProbeService",
      "viam_dial.test.v1.WheelService",
    ]);
    const { parent, input, output } = reflection.getMethod("proto.rpc.examples.echo.v1.EchoService/Echo")!;
    // deno-lint-ignore no-explicit-any
    const client = createClient(parent, channel) as any;
    const answer = await client.echo(fromJson(input, { message: "hello" }));
    assert.deepEqual(toJson(output, answer), { message: "hello" });
  }, { skip, timeoutMs: 120_000 });
}
