import assert from "node:assert/strict";
import { runCommand } from "../cli/command_line.ts";
import { test } from "../harness.ts";
import { startGoMachine } from "./go_machine.ts";
import { missing } from "./requirements.ts";

const API_KEY = "a-key-for-tests";
const API_KEY_ID = "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c";

for (const [name, way] of [["over WebRTC", []], ["directly", ["--direct"]]] as const) {
  test(`every command reaches the Go peer ${name}`, async () => {
    await using machine = await startGoMachine("-api-key", API_KEY, "-api-key-id", API_KEY_ID);
    const env = { VIAM_ADDRESS: machine.address, VIAM_API_KEY: API_KEY, VIAM_API_KEY_ID: API_KEY_ID };
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await runCommand([...args, "--insecure", ...way], { env });
      assert.deepEqual([code, stderr], [0, ""], `${args.join(" ")}: ${stdout}`);
      return stdout;
    };
    assert.match(await run("ping", "-c", "2", "-i", "1"), /2 sent, 2 answered, 0 % lost/);
    assert.match(await run("doctor"), /can be reached .*, and answers in [\d.]+ ms\.\n$/);
    assert.match(await run("list"), /^viam_dial\.probe\.v1\.ProbeService$/m);
    assert.match(await run("describe", "viam_dial.probe.v1.Payload"), /bytes data = 1;/);
    assert.match(await run("call", "viam.robot.v1.RobotService/ResourceNames"), /"thermometer"/);
    const stream = await run("call", "proto.rpc.examples.echo.v1.EchoService/EchoBiDi", '{"message":"ab"}');
    assert.equal(stream, '{"message":"a"}\n{"message":"b"}\n');
  }, { skip: missing("go"), timeoutMs: 300_000 });
}
