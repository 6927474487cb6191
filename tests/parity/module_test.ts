import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { EchoService, startMachine } from "../../lib/testing/mod.ts";
import {
  AuthenticatedChannel,
  type Credentials,
  dial,
  dialDirect,
  DialOptions,
  DialOptionsError,
  LOGGER,
  type LogLevel,
  ViamChannel,
} from "../../mod.ts";
import { test } from "../harness.ts";
import { runProgram } from "../process/child.ts";
import { failureOf, optionsFor } from "./robots.ts";

test(
  "row 1: importing the module has no effect, and the native engine is loaded by the first WebRTC dial",
  async () => {
    await using machine = await startMachine();
    const { code, stdout, stderr, lingeredMs } = await runProgram("tests/parity/import_program.ts", {
      args: [machine.address, machine.apiKey, machine.apiKeyId],
    });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    assert.deepEqual(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
      { after: "import", globals: [], engine: false },
      { after: "direct", engine: false },
      { after: "webrtc", engine: true },
    ]);
    assert.ok(lingeredMs < 10_000);
  },
  { timeoutMs: 60_000 },
);

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Record<string, unknown> | undefined;
}

function recorder(): {
  readonly lines: Line[];
  readonly sink: Record<string, (m: string, f?: Line["fields"]) => void>;
} {
  const lines: Line[] = [];
  const method = (level: string) => (message: string, fields?: Line["fields"]) =>
    void lines.push({ level, message, fields });
  return {
    lines,
    sink: Object.fromEntries(["debug", "info", "warn", "error"].map((level) => [level, method(level)])),
  };
}

test("row 2: LOGGER is silent by default, has levels and a sink, and gives way to DialOptions.logger", async () => {
  await using machine = await startMachine();
  const downgraded: DialOptions = {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    allowInsecureWithCredsDowngrade: true,
  };
  assert.equal(LOGGER.level, "silent");
  const { sink: console } = LOGGER;
  const { lines, sink } = recorder();
  LOGGER.sink = sink;
  try {
    await (await dial(machine.address, downgraded)).close();
    assert.equal(lines.length, 0);

    LOGGER.level = "warn";
    await (await dial(machine.address, downgraded)).close();
    assert.deepEqual([...new Set(lines.map(({ level }) => level))], ["warn"]);
    assert.match(lines[0]!.message, /downgrad.*insecure.*sending credentials/);
    assert.equal(lines[0]!.fields?.["target"], machine.address);

    LOGGER.level = "debug";
    await (await dial(machine.address, downgraded)).close();
    assert.deepEqual(new Set(lines.map(({ level }) => level)), new Set(["debug", "info", "warn"]));
    assert.ok(!JSON.stringify(lines).includes(machine.apiKey));

    const count = lines.length;
    const own = recorder();
    await (await dial(machine.address, { ...downgraded, logger: own.sink })).close();
    assert.equal(lines.length, count);
    assert.ok(own.lines.some(({ level }) => level === "warn"));
    assert.ok(!JSON.stringify(own.lines).includes(machine.apiKey));
    // Every level may be left out.
    await (await dial(machine.address, { ...downgraded, logger: {} })).close();
  } finally {
    LOGGER.level = "silent";
    LOGGER.sink = console;
  }
  assert.throws(() => LOGGER.level = "loud" as LogLevel, TypeError);
});

test("row 3: Credentials, DialOptions, AuthenticatedChannel and ViamChannel are exported", async () => {
  await using machine = await startMachine();
  const credentials: Credentials = { type: "api-key", payload: machine.apiKey };
  const options: DialOptions = { credentials, authEntity: machine.apiKeyId, insecure: true };
  await using channel = await dial(machine.address, options);
  assert.ok(channel instanceof ViamChannel);
  assert.ok(channel.channel instanceof AuthenticatedChannel);
  assert.equal(typeof DialOptions.withApiKey, "function");
});

test("row 4: dial() and dialDirect() are asynchronous, with bad arguments too", async () => {
  for (const connect of [dial, dialDirect]) {
    const failed = connect("", { timeoutMs: -1 });
    assert.ok(failed instanceof Promise);
    assert.ok(await failureOf(failed) instanceof DialOptionsError);
  }
  await using machine = await startMachine();
  await using channel = await dialDirect(machine.address, optionsFor(machine));
  assert.equal((await createClient(EchoService, channel).echo({ message: "hi" })).message, "hi");
});
