import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { RobotService, startMachine } from "../../lib/testing/mod.ts";
import { dial, DialOptions } from "../../mod.ts";
import { test } from "../harness.ts";
import { runProgram, startProgram } from "./child.ts";

const PERMISSIONS = ["--allow-net", "--allow-ffi", "--allow-read"];

test("the demo shows every kind of call on both paths, and exits by itself", async () => {
  const { code, stdout, stderr, lingeredMs } = await runProgram("examples/demo.ts", {
    permissions: PERMISSIONS,
  });
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const [webrtc = "", direct = ""] = stdout.split("\nWebRTC\n")[1]!.split("\ndirect\n");
  for (const section of [webrtc, direct]) {
    for (const call of ["unary", "server stream", "client stream", "bidirectional"]) {
      assert.match(section, new RegExp(`^ +${call} +.*\\d ms$`, "m"));
    }
    assert.match(section, /^ +authenticate +\d+\.\d+ ms/m);
  }
  assert.match(webrtc, /^ {2}path: (?:host|peer-reflexive), webrtc, (?:\S+:\d+ to )?\S+:\d+$/m);
  assert.match(direct, /^ {2}path: direct, grpc over HTTP\/2/m);
  assert.ok(lingeredMs < 1_000, `${lingeredMs} ms after its last line`);
});

test("the demo dials another machine and lists its resources", async () => {
  await using machine = await startMachine();
  const flags = ["--host", machine.address, "--api-key", machine.apiKey, "--api-key-id", machine.apiKeyId];
  const { code, stdout } = await runProgram("examples/demo.ts", {
    permissions: PERMISSIONS,
    args: [...flags, "--insecure"],
  });
  assert.equal(code, 0);
  await using channel = await dial(machine.address, {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
  });
  const { resources } = await createClient(RobotService, channel).resourceNames({});
  assert.ok(resources.length > 0);
  for (const { type, name } of resources) assert.match(stdout, new RegExp(`${type}:.*/${name}$`, "m"));
});

test("the demo reports a failure in one line, without the key, and exits with 1", async () => {
  await using machine = await startMachine();
  const key = "not-the-key-of-this-machine";
  const { code, stderr } = await runProgram("examples/demo.ts", {
    permissions: PERMISSIONS,
    args: ["--host", machine.address, "--api-key", key, "--api-key-id", machine.apiKeyId, "--insecure"],
  });
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot dial .*refused the credentials.*\n$/);
  assert.ok(!stderr.includes(key));
});

test("the machine program prints how to dial it, and stops on a signal", async () => {
  await using child = startProgram("examples/machine.ts", { permissions: PERMISSIONS });
  const shown: Record<string, string> = {};
  while (shown["stop it"] === undefined) {
    const [, name = "", value = ""] = /^(.*?) {2,}(.*)$/.exec(await child.line()) ?? [];
    shown[name] = value;
  }
  await using channel = await dial(shown["address"]!, {
    ...DialOptions.withApiKey(shown["API key"]!, shown["API key id"]!),
    insecure: true,
  });
  assert.equal(channel.kind, "webrtc");
  child.kill("SIGTERM");
  const { code, stderr } = await child.exit;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});
