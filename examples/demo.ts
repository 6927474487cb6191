/**
 * Starts an embedded machine, dials it over WebRTC and then directly, and makes a call of every kind on each path.
 * With `--host` it dials a real machine instead, and lists its resources.
 *
 * deno task demo [--host H --api-key K --api-key-id I [--signaling S] [--insecure]]
 */
import { parseArgs } from "node:util";
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { dial, DialError, DialOptions, type ViamChannel } from "../mod.ts";
import { startMachine } from "../lib/testing/mod.ts";
import { RobotService } from "../proto/gen/viam/robot/v1/robot_pb.ts";
import { ProbeService } from "../proto/gen/viam_dial/probe/v1/probe_pb.ts";

const { values: flags } = parseArgs({
  args: process.argv.slice(2),
  options: {
    host: { type: "string" },
    "api-key": { type: "string" },
    "api-key-id": { type: "string" },
    signaling: { type: "string" },
    insecure: { type: "boolean", default: false },
  },
});

const text = (value: string) => ({ data: new TextEncoder().encode(value) });

async function* words(): AsyncGenerator<{ data: Uint8Array }> {
  for (const word of ["one", "two", "three"]) yield text(word);
}

/** Prints the answer of a call, and the time it took. */
async function timed(name: string, call: () => Promise<string>): Promise<void> {
  const start = performance.now();
  const answer = await call();
  console.log(`    ${name.padEnd(16)} ${answer.padEnd(36)} ${(performance.now() - start).toFixed(2)} ms`);
}

function printDial(channel: ViamChannel): void {
  for (const { phase, detail, durationMs } of channel.timeline) {
    console.log(`    ${phase.padEnd(16)} ${(durationMs ?? 0).toFixed(2).padStart(8)} ms  ${detail}`);
  }
  const { kind, protocol, local, remote } = channel.path;
  console.log(`  path: ${kind}, ${protocol}, ${local === undefined ? "" : `${local} to `}${remote}`);
}

async function callEveryKind(channel: ViamChannel): Promise<void> {
  const probe = createClient(ProbeService, channel);
  await timed("unary", async () => {
    const { data } = await probe.echo(text("hello"));
    return JSON.stringify(new TextDecoder().decode(data));
  });
  await timed("server stream", async () => {
    let bytes = 0;
    for await (const { data } of probe.download({ size: 1024, count: 3 })) bytes += data.length;
    return `3 messages, ${bytes} bytes`;
  });
  await timed("client stream", async () => {
    const { count, bytes } = await probe.upload(words());
    return `${count} messages, ${bytes} bytes counted`;
  });
  await timed("bidirectional", async () => {
    const echoed: string[] = [];
    for await (const { data } of probe.exchange(words())) echoed.push(new TextDecoder().decode(data));
    return echoed.join(" ");
  });
}

async function demonstrate(): Promise<void> {
  await using machine = await startMachine();
  console.log(`an embedded machine listens on ${machine.address}`);
  const options: DialOptions = {
    ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId),
    insecure: true,
  };
  for (const disableWebrtc of [false, true]) {
    console.log(`\n${disableWebrtc ? "direct" : "WebRTC"}`);
    await using channel = await dial(machine.address, { ...options, disableWebrtc });
    printDial(channel);
    await callEveryKind(channel);
  }
}

async function dialMachine(host: string): Promise<void> {
  const { "api-key": key, "api-key-id": id, signaling, insecure } = flags;
  const options: DialOptions = {
    ...(key === undefined ? {} : DialOptions.withApiKey(key, id ?? "")),
    insecure,
    ...(signaling === undefined ? {} : { webrtc: { signalingAddress: signaling } }),
  };
  await using channel = await dial(host, options);
  console.log(`connected to ${host}`);
  printDial(channel);
  const { resources } = await createClient(RobotService, channel).resourceNames({});
  console.log(`  ${resources.length} resources`);
  for (const { namespace, type, subtype, name } of resources) {
    console.log(`    ${namespace}:${type}:${subtype}/${name}`);
  }
}

try {
  await (flags.host === undefined ? demonstrate() : dialMachine(flags.host));
} catch (error) {
  if (!(error instanceof DialError) && !(error instanceof TypeError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
