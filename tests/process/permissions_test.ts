import assert from "node:assert/strict";
import { startMachine } from "../../lib/testing/mod.ts";
import { DialOptions } from "../../mod.ts";
import { runtime, test } from "../harness.ts";
import { runProgram } from "./child.ts";

// The permissions in the README; Bun, which has none, runs the same programs.
const promises: readonly [kind: "direct" | "webrtc", permissions: readonly string[]][] = [
  ["direct", ["--allow-net"]],
  ["webrtc", ["--allow-net", "--allow-ffi", "--allow-read"]],
];

for (const [kind, permissions] of promises) {
  test(`${permissions.join(" ")} is enough for a dial that ends up ${kind}`, async () => {
    await using machine = await startMachine();
    const options: DialOptions = {
      ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
      insecure: true,
      disableWebrtc: kind === "direct",
    };
    const { code, stdout, stderr } = await runProgram("tests/process/programs/dial_and_call.ts", {
      permissions,
      args: [JSON.stringify({ address: machine.address, options })],
    });
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout), { message: "hello", kind });
    assert.equal(code, 0);
  });
}

/** node:child_process gives a child of Deno all permissions if it is given none, so give it a useless one. */
const NOTHING = ["--allow-env=NOTHING"];

const WEBRTC_FLAGS =
  /WebRTC needs --allow-ffi and --allow-read for its engine, disableWebrtc dials without it/;

interface Refusal {
  readonly title: string;
  readonly permissions: readonly string[];
  readonly options?: DialOptions;
  readonly address?: string;
  /** The flag that is asked for. */
  readonly flag: string;
  readonly message: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    title: "no permission at all",
    permissions: NOTHING,
    flag: "--allow-net",
    message:
      /Deno does not permit net access to 127\.0\.0\.1:\d+\. Run deno with --allow-net=127\.0\.0\.1:\d+, or with --allow-net$/,
  },
  {
    title: "the network, but not this address, directly with native gRPC",
    permissions: ["--allow-net=robot.example"],
    options: { disableWebrtc: true, protocol: "grpc" },
    flag: "--allow-net",
    message: /Run deno with --allow-net=127\.0\.0\.1:\d+, or with --allow-net$/,
  },
  {
    title: "the network, but not this address, when TLS is looked for",
    permissions: ["--allow-net=robot.example"],
    options: { disableWebrtc: true, insecure: false, allowInsecureWithCredsDowngrade: true },
    flag: "--allow-net",
    message: /Run deno with --allow-net=127\.0\.0\.1:\d+, or with --allow-net$/,
  },
  {
    title: "the network alone, for WebRTC",
    permissions: ["--allow-net"],
    flag: "--allow-read",
    message: WEBRTC_FLAGS,
  },
  {
    title: "the network and files, but no native code, for WebRTC",
    permissions: ["--allow-net", "--allow-read"],
    flag: "--allow-ffi",
    message: WEBRTC_FLAGS,
  },
  {
    title: "the network, but no files, for a Unix socket",
    permissions: ["--allow-net"],
    address: "unix:/nowhere/machine.sock",
    options: { insecure: true },
    flag: "--allow-read",
    message: /Run deno with --allow-read=\/nowhere\/machine\.sock, or .*needs --allow-read and --allow-write/,
  },
];

for (const { title, permissions, options, address, flag, message } of runtime === "deno" ? refusals : []) {
  test(`DialPermissionError names the flag that is missing: ${title}`, async () => {
    await using machine = await startMachine();
    const { code, stdout } = await runProgram("tests/process/programs/dial_and_report.ts", {
      permissions,
      args: [JSON.stringify({
        address: address ?? machine.address,
        options: { ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId), insecure: true, ...options },
      })],
    });
    assert.equal(code, 0);
    const report = JSON.parse(stdout);
    assert.deepEqual([report.name, report.code], ["DialPermissionError", "ERR_DIAL_PERMISSION"]);
    assert.equal(report.flag, flag);
    assert.match(report.message, message);
    assert.ok(!report.shown.includes(machine.apiKey));
  });
}

test("resolveDialOptions() and importing the module need no permission", async () => {
  const { code, stdout } = await runProgram("tests/process/programs/dial_and_report.ts", {
    permissions: NOTHING,
    args: [JSON.stringify({ address: "127.0.0.1:1", options: { timeoutMs: "soon" } })],
  });
  assert.equal(JSON.parse(stdout).name, "DialOptionsError");
  assert.equal(code, 0);
});
