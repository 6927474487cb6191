import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startMachine } from "../../lib/testing/mod.ts";
import { VERSION } from "../../lib/runtime/version.ts";
import { makeCertificates } from "../certificates.ts";
import { test } from "../harness.ts";
import { ROOT } from "../project/source.ts";
import {
  type CommandResult,
  environmentOf,
  interrupt,
  runCommand,
  runCommandProcess,
  shellProgram,
  startCommand,
} from "./command_line.ts";

const PROBE = "viam_dial.probe.v1.ProbeService";
const LIMIT = { timeoutMs: 120_000 };

/** Runs a command line against a machine that is there for it. */
async function against(
  args: readonly string[],
  input = "",
): Promise<CommandResult> {
  await using machine = await startMachine();
  return await runCommand([...args, "--insecure"], {
    env: environmentOf(machine),
    input,
  });
}

function succeeded({ code, stdout, stderr }: CommandResult): string {
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

/** The lines of standard output, read as JSON. */
// deno-lint-ignore no-explicit-any
function jsonLines(result: CommandResult): any[] {
  return succeeded(result).trimEnd().split("\n").map((line) => JSON.parse(line));
}

test("every command runs in a process of its own, with the permissions of deno task cli", async () => {
  await using machine = await startMachine();
  const env = environmentOf(machine);
  const run = (args: readonly string[], input = "") => runCommandProcess(args, { env, input });
  const none: readonly string[] = [];
  for (const way of [none, ["--direct"], ["--direct", "--protocol", "grpc"]]) {
    assert.equal(
      succeeded(
        await run(["call", `${PROBE}/Exchange`, "--insecure", ...way], '{"data":"AA=="}\n{"data":"AQ=="}'),
      ),
      '{"data":"AA=="}\n{"data":"AQ=="}\n',
    );
  }
  assert.match(succeeded(await run(["list", "--insecure"])), new RegExp(`^${PROBE}$`, "m"));
  assert.match(succeeded(await run(["describe", PROBE, "--insecure"])), /rpc Echo/);
  assert.match(succeeded(await run(["doctor", "--insecure"])), /can be reached over WebRTC/);
  assert.match(succeeded(await run(["completion", "bash"])), /_viam_dial/);
  const failed = await run(["describe", "none.Such", "--insecure", "--json"]);
  assert.deepEqual([failed.code, JSON.parse(failed.stderr).exitCode], [2, 2]);
}, LIMIT);

test("ping shows the path, each round trip and a summary", async () => {
  const out = succeeded(await against(["ping", "-c", "3", "-i", "10"]));
  assert.match(out, /^PING 127\.0\.0\.1:\d+: dialed in [\d.]+ ms, webrtc, \S+, (\S+ to )?\S+\n/);
  for (const seq of [1, 2, 3]) assert.match(out, new RegExp(`^seq=${seq} time=[\\d.]+ ms`, "m"));
  assert.match(out, /^3 sent, 3 answered, 0 % lost, \d+ ms\nround trip min\/mean\/median\/max [\d./]+ ms$/m);
  assert.match(out, /^data channel: .*window 32 KiB, no bulk data sent yet$/m);
}, LIMIT);

test("ping --json writes a line for the connection, each answer and the summary", async () => {
  const records = jsonLines(await against(["ping", "-c", "2", "-i", "0", "--direct", "--json"]));
  assert.deepEqual(records.map(({ type }) => type), ["connected", "answer", "answer", "summary"]);
  assert.equal(records[0].kind, "direct");
  assert.deepEqual([records[3].sent, records[3].answered, records[3].lostPercent], [2, 2, 0]);
}, LIMIT);

test("ping continues until it is interrupted, and then writes the summary", async () => {
  await using machine = await startMachine({ auth: "none" });
  await using command = await startCommand(["ping", machine.address, "--insecure", "-i", "1"]);
  let line = "";
  while (!line.startsWith("seq=3 ")) line = await command.line();
  const { code, stdout } = await interrupt(command);
  assert.equal(code, 0);
  assert.match(stdout, /\d+ sent, \d+ answered, 0 % lost/);
}, LIMIT);

test("ping fails when nothing is answered", async () => {
  await using machine = await startMachine({ auth: "none" });
  machine.faults = { silent: true, only: (path) => path.includes("viam_dial.v1.Ping") };
  const { code, stdout } = await runCommand([
    ...["ping", machine.address, "--insecure"],
    ...["-c", "2", "-i", "1", "--deadline", "200"],
  ]);
  assert.equal(code, 6);
  assert.match(stdout, /^seq=1 no answer: DeadlineExceeded/m);
  assert.match(stdout, /^2 sent, 0 answered, 100 % lost/m);
}, LIMIT);

test("list and describe show what the machine has", async () => {
  await using machine = await startMachine();
  const env = environmentOf(machine);
  const run = async (...args: string[]) => await runCommand([...args, "--insecure"], { env });
  assert.match(succeeded(await run("list")), new RegExp(`^${PROBE}$`, "m"));
  assert.match(succeeded(await run("list", "--methods")), new RegExp(`^${PROBE}/Echo$`, "m"));
  const [{ services }] = jsonLines(await run("list", "--json", machine.address));
  const probe = services.find(({ name }: { name: string }) => name === PROBE);
  assert.deepEqual(probe.methods[1], {
    name: "Download",
    kind: "server_streaming",
    input: "viam_dial.probe.v1.DownloadRequest",
    output: "viam_dial.probe.v1.Payload",
  });
  assert.equal(
    succeeded(await run("describe", "proto.rpc.examples.echo.v1.EchoService")),
    `service proto.rpc.examples.echo.v1.EchoService {
  rpc Echo(proto.rpc.examples.echo.v1.EchoRequest) returns (proto.rpc.examples.echo.v1.EchoResponse);
  rpc EchoMultiple(proto.rpc.examples.echo.v1.EchoMultipleRequest) returns (stream proto.rpc.examples.echo.v1.EchoMultipleResponse);
  rpc EchoBiDi(stream proto.rpc.examples.echo.v1.EchoBiDiRequest) returns (stream proto.rpc.examples.echo.v1.EchoBiDiResponse);
}
`,
  );
  const [method] = jsonLines(await run("describe", machine.address, `${PROBE}/Echo`, "--json"));
  assert.deepEqual([method.kind, method.input.descriptor.field[0].name], ["rpc", "data"]);
  const nothing = await run("describe", "none.Such");
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /nothing named "none\.Such"/);
}, LIMIT);

test("call makes calls of every kind, over WebRTC and directly", async () => {
  const two = '{"data":"AA=="}\n\n{"data":"AQI="}\n';
  for (const way of [[], ["--direct"], ["--direct", "--protocol", "grpc"]]) {
    const call = (method: string, request: readonly string[], input?: string) =>
      against(["call", `${PROBE}/${method}`, ...request, ...way], input);
    assert.equal(succeeded(await call("Echo", ['{"data":"AAEC"}'])), '{\n  "data": "AAEC"\n}\n');
    assert.deepEqual(jsonLines(await call("Download", ['{"size":1,"count":3}'])).length, 3);
    assert.deepEqual(jsonLines(await call("Upload", ["--json"], two)), [{ bytes: "3", count: 2 }]);
    assert.deepEqual(jsonLines(await call("Exchange", [two])), [{ data: "AA==" }, { data: "AQI=" }]);
  }
}, { timeoutMs: 300_000 });

test("call writes each answer before it reads the next request", async () => {
  await using machine = await startMachine({ auth: "none" });
  const args = ["call", machine.address, `${PROBE}/Exchange`, "--insecure"];
  await using command = await startCommand(args, { input: { open: true } });
  for (const data of ["AA==", "AQ=="]) {
    command.write(`{"data":"${data}"}\n`);
    assert.equal(await command.line(), `{"data":"${data}"}`);
  }
  command.endInput();
  assert.equal((await command.exit).code, 0);
}, LIMIT);

test("call ends when it is interrupted while it waits for a message", async () => {
  for (const method of ["Echo", "EchoBiDi"]) {
    // Its first connection shows that the command hears interrupts.
    await using machine = await startMachine({ auth: "none" });
    await using child = await startCommand(
      ["call", machine.address, "--insecure", `proto.rpc.examples.echo.v1.EchoService/${method}`, "-"],
      { input: { open: true } },
    );
    while (machine.connections === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal((await interrupt(child)).code, 130, method);
  }
}, LIMIT);

test("call reports a status with its details, and exits with 6", async () => {
  const request = '{"code":5,"message":"gone","after":1,"detail":"why"}';
  const text = await against(["call", `${PROBE}/Fail`, request]);
  assert.equal(text.code, 6);
  assert.equal(text.stdout, '{"data":"AA=="}\n');
  assert.match(text.stderr, /^viam-dial: NotFound: gone\n {2}.*"text":"why"/);
  const json = await against(["call", `${PROBE}/FailUnary`, request, "--json"]);
  assert.deepEqual([json.code, json.stdout], [6, ""]);
  const { error, exitCode } = JSON.parse(json.stderr);
  assert.deepEqual([error.code, error.status, error.message, exitCode], [5, "NotFound", "gone", 6]);
  assert.deepEqual(error.details[0].value, { text: "why" });
}, LIMIT);

test("call names a wrong request and its fault", async () => {
  const wrong: readonly (readonly [args: readonly string[], input: string, text: RegExp])[] = [
    [[`${PROBE}/Echo`, "{"], "", /is not JSON/],
    [[`${PROBE}/Echo`, '{"dat":1}'], "", /Message 1 is not a viam_dial\.probe\.v1\.Payload: .*"dat"/],
    [[`${PROBE}/Echo`, "{}\n{}"], "", /takes one message/],
    [[`${PROBE}/Upload`], '{"data":"AA=="}\n{"dat":1}\n', /Message 2/],
    [[`${PROBE}/None`], "", /has no method .*; viam_dial\.probe\.v1\.ProbeService has Echo/],
  ];
  for (const [args, input, text] of wrong) {
    const { code, stderr } = await against(["call", ...args], input);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, text);
  }
}, LIMIT);

test("call sends metadata and a deadline", async () => {
  const [{ metadata, timeoutMs }] = jsonLines(
    await against(["call", `${PROBE}/Inspect`, "-H", "x-one: 1", "--deadline", "60000", "--json"]),
  );
  assert.deepEqual(metadata["x-one"], { values: ["1"] });
  assert.ok(Number(timeoutMs) > 30_000 && Number(timeoutMs) <= 60_000, timeoutMs);
}, LIMIT);

test("a command exits with a code for what went wrong", async () => {
  await using machine = await startMachine();
  const { VIAM_API_KEY, VIAM_API_KEY_ID } = environmentOf(machine) as Record<string, string>;
  const cases: readonly (readonly [code: number, args: readonly string[], env?: Record<string, string>])[] = [
    [2, []],
    [2, ["no-such-command"]],
    [2, ["ping"]],
    [2, ["ping", "a", "b"]],
    [2, ["ping", "--no-such-option"]],
    [2, ["ping", "http://host/path"]],
    [2, ["ping", machine.address], { VIAM_API_KEY: "only-one-of-the-two" }],
    [2, ["ping", machine.address, "--ca", "/no/such/file"]],
    [2, ["ping", machine.address, "--ca", "LICENSE"]],
    [3, ["ping", machine.address]],
    [4, ["ping", machine.address, "--insecure"], {
      VIAM_API_KEY_ID: VIAM_API_KEY_ID!,
      VIAM_API_KEY: "wrong",
    }],
    [4, ["list", machine.address, "--insecure", "--direct"]],
    [4, ["call", machine.address, "--insecure", "--direct", `${PROBE}/Echo`]],
    [4, ["ping", machine.address, "--insecure", "--direct", "-c", "1"]],
    [2, ["help", "no-such-command"]],
    [2, ["describe", machine.address]],
    [2, ["serve", "--port", machine.address.split(":")[1]!]],
    [2, ["proxy", machine.address, "--insecure", "--listen", machine.address], {
      VIAM_API_KEY_ID: VIAM_API_KEY_ID!,
      VIAM_API_KEY: VIAM_API_KEY!,
    }],
    [2, ["serve", "--cert", "LICENSE", "--key", "LICENSE"]],
    [0, ["help"]],
    [0, ["ping", "--help"]],
  ];
  for (const [exitCode, args, env = {}] of cases) {
    const { code, stdout, stderr } = await runCommand(args, { env });
    assert.equal(code, exitCode, `${args.join(" ")}: ${stdout}${stderr}`);
    assert.doesNotMatch(stderr, /\n {4}at /, "no stack");
    const json = await runCommand([...args, "--json"], { env });
    assert.equal(json.code, exitCode, `${args.join(" ")} --json`);
    if (exitCode !== 0 && args.length > 0) assert.equal(JSON.parse(json.stderr).exitCode, exitCode);
  }
  assert.equal(succeeded(await runCommand(["--version"])), `${VERSION}\n`);
}, { timeoutMs: 300_000 });

test("a call that is refused says which credentials to check, and exits with 4", async () => {
  await using machine = await startMachine();
  for (const command of [["list"], ["call", `${PROBE}/Echo`], ["ping"]]) {
    const [name, ...rest] = command as [string, ...string[]];
    const { code, stderr } = await runCommand([name, machine.address, ...rest, "--insecure", "--direct"]);
    assert.equal(code, 4, name);
    assert.match(stderr, /VIAM_API_KEY and VIAM_API_KEY_ID/, name);
  }
}, LIMIT);

test("ping counts the pings of an outage as lost, and continues after it", async () => {
  const options = { auth: "none" } as const;
  const before = await startMachine(options);
  const { port, address } = before;
  try {
    await using command = await startCommand([
      ...["ping", address, "--insecure", "--no-mdns"],
      ...["-c", "15", "-i", "20", "--deadline", "400"],
    ]);
    let line = "";
    while (!line.startsWith("seq=5 ")) line = await command.line();
    await before.close();
    while (!line.includes("no answer")) line = await command.line();
    await using _after = await startMachine({ ...options, port });
    const { code, stdout, stderr } = await command.exit;
    assert.equal(code, 0);
    assert.match(stdout, /^15 sent, \d+ answered, \d+ % lost/m);
    assert.match(stdout, /no answer: [^\n]+\n(?:.*\n)*seq=\d+ time=/);
    assert.match(
      stderr,
      /^viam-dial: lost the connection to .*\n(?:.*\n)*viam-dial: connected to .* again\n/,
    );
  } finally {
    await before.close();
  }
}, LIMIT);

test("credentials are read from files as editors and shells write them", async () => {
  await using machine = await startMachine();
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
  const { apiKey, apiKeyId } = machine;
  const json = JSON.stringify({ apiKey: `${apiKey}\n`, apiKeyId: `${apiKeyId}\r\n` });
  const wide = new Uint8Array(
    new Uint16Array(Array.from(`\ufeff${json}`, (letter) => letter.charCodeAt(0))).buffer,
  );
  const ping = ["ping", machine.address, "--insecure", "--direct", "-c", "1"];
  try {
    for (const [name, content] of [["plain", json], ["mark", `\ufeff${json}\r\n`], ["wide", wide]] as const) {
      const file = join(folder, name);
      await writeFile(file, content);
      succeeded(await runCommand([...ping, "--credentials-file", file]));
    }
    const env = { VIAM_API_KEY: `${apiKey}\n`, VIAM_API_KEY_ID: `${apiKeyId}\n` };
    succeeded(await runCommand(ping, { env }));
  } finally {
    await rm(folder, { recursive: true });
  }
}, LIMIT);

test("no command writes a secret, and the list of processes shows none", async () => {
  await using machine = await startMachine();
  const env = environmentOf(machine);
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
  try {
    const file = join(folder, "credentials.json");
    await writeFile(file, JSON.stringify({ apiKey: machine.apiKey, apiKeyId: machine.apiKeyId }));
    for (const [args, variables] of [[[], env], [["--credentials-file", file], {}]] as const) {
      const { code, stdout, stderr } = await runCommandProcess(
        ["ping", machine.address, "--insecure", "-c", "1", "-v", ...args],
        { env: variables },
      );
      assert.equal(code, 0, stderr);
      assert.match(stderr, /authenticate/);
      assert.ok(!`${stdout}${stderr}`.includes(machine.apiKey));
    }
    await using command = await startCommand(["ping", "--insecure"], { env });
    await command.line();
    const title = await readFile(`/proc/${command.pid}/cmdline`, "utf8").catch(() => "");
    assert.ok(!title.includes(machine.apiKey));
    assert.equal((await interrupt(command)).code, 0);
  } finally {
    await rm(folder, { recursive: true });
  }
}, LIMIT);

test("serve runs a machine that the other commands reach, also with TLS", async () => {
  {
    await using command = await startCommand(["serve", "--json"]);
    const { address, apiKey, apiKeyId } = JSON.parse(await command.line());
    const env = { VIAM_ADDRESS: address, VIAM_API_KEY: apiKey, VIAM_API_KEY_ID: apiKeyId };
    succeeded(await runCommandProcess(["ping", "-c", "1", "--insecure"], { env }));
    assert.equal((await interrupt(command)).code, 0);
  }
  const certificates = await makeCertificates();
  try {
    const { folder } = certificates;
    const env = { VIAM_API_KEY: "a-key", VIAM_API_KEY_ID: "5a28a8a8-1dd5-4c53-8d1b-0a3f6fdb1f2c" };
    const files = ["--cert", join(folder, "cert.pem"), "--key", join(folder, "key.pem")];
    await using command = await startCommand(["serve", "--json", ...files], { env });
    const line = await command.line();
    assert.ok(!line.includes("a-key"), "a secret that was given is not shown");
    const { address } = JSON.parse(line);
    succeeded(await runCommandProcess(["ping", address, "-c", "1", "--ca", join(folder, "ca.pem")], { env }));
    assert.equal((await interrupt(command)).code, 0);
  } finally {
    await certificates.remove();
  }
}, LIMIT);

test("a command ends quietly when its output is closed", async () => {
  await using machine = await startMachine({ auth: "none" });
  const command = `${await shellProgram()} ping ${machine.address} --insecure -i 1`;
  const script = `set -o pipefail; ${command} | head -n 1; echo "\${PIPESTATUS[@]}"`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script], { cwd: ROOT });
  assert.match(stdout, /^PING .*\n141 0\n$/);
  assert.equal(stderr, "");
  const told = `set -o pipefail; ${command} --verbose 2>&1 >/dev/null | head -n 1; echo "\${PIPESTATUS[@]}"`;
  assert.match((await promisify(execFile)("bash", ["-c", told], { cwd: ROOT })).stdout, /\n141 0\n$/);
}, LIMIT);
