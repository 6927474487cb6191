import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ViamChannel } from "../channel/channel.ts";
import type { WireStats } from "../channel/stats.ts";
import { wait } from "../runtime/wait.ts";
import type { ChannelPath } from "../channel/link.ts";
import { oneAddress } from "./arguments.ts";
import type { Run } from "./command.ts";
import { addressOf, dialMachine } from "./dial_command.ts";
import { describeError } from "./error_text.ts";
import { EXIT, exitCodeOf } from "./exit_code.ts";
import { rawMethod } from "../rpc/raw_method.ts";
import { summarize } from "./round_trips.ts";

/** Measures round trips. */
export const ping: Run = async (args, terminal) => {
  const count = args.integer("count", 1, Infinity) ?? Infinity;
  const interval = args.integer("interval", 0, Infinity) ?? 1_000;
  const deadline = args.integer("deadline", 1, Infinity) ?? 5_000;
  const address = addressOf(oneAddress("ping", args), terminal);
  const tell = (text: string, record: object) =>
    terminal.write(args.has("json") ? `${JSON.stringify(record)}\n` : `${text}\n`);

  const began = performance.now();
  await using channel = await dialMachine(address, args, terminal, true);
  const dialMs = performance.now() - began;
  let path = describePath(channel.path);
  await tell(`PING ${address}: dialed in ${dialMs.toFixed(1)} ms, ${path}`, {
    type: "connected",
    address,
    dialMs,
    kind: channel.kind,
    path: channel.path,
  });

  const times: number[] = [];
  let sent = 0;
  const start = performance.now();
  while (sent < count && !terminal.signal.aborted) {
    const due = start + sent * interval;
    try {
      if (sent > 0) await wait(Math.max(0, due - performance.now()), terminal.signal);
    } catch {
      break; // interrupted
    }
    sent++;
    try {
      const ms = await roundTrip(channel, deadline, terminal.signal);
      times.push(ms);
      const now = describePath(channel.path);
      const moved = now === path ? "" : `, now ${now}`;
      path = now;
      await tell(`seq=${sent} time=${ms.toFixed(3)} ms${moved}`, { type: "answer", seq: sent, ms });
    } catch (error) {
      if (terminal.signal.aborted) {
        sent--;
        break;
      }
      // No later ping would be answered.
      if (exitCodeOf(error) === EXIT.refused) throw error;
      const text = describeError(error);
      await tell(`seq=${sent} no answer: ${text}`, { type: "lost", seq: sent, error: text });
    }
  }
  const totalMs = performance.now() - start;
  const summary = summarize(sent, times);
  const rtt = summary.minMs === undefined ? [] : [
    `round trip min/mean/median/max ${
      [summary.minMs, summary.meanMs, summary.medianMs, summary.maxMs].map((ms) => ms.toFixed(3)).join("/")
    } ms`,
  ];
  const { connection } = channel.getStats();
  await tell(
    [
      `--- ${address} ---`,
      `${sent} sent, ${times.length} answered, ${summary.lostPercent} % lost, ${totalMs.toFixed(0)} ms`,
      ...rtt,
      ...connection === undefined ? [] : [describeWire(connection)],
    ].join("\n"),
    { type: "summary", totalMs, ...summary, ...connection === undefined ? {} : { connection } },
  );
  return times.length > 0 || sent === 0 ? EXIT.ok : EXIT.callFailed;
};

const PING = rawMethod("/viam_dial.v1.Ping/Ask", "unary") as DescMethodUnary;

/** Measures the time that the machine takes to refuse a nonexistent method, in milliseconds. */
async function roundTrip(
  channel: ViamChannel,
  deadline: number,
  signal: AbortSignal,
): Promise<number> {
  const began = performance.now();
  try {
    await channel.unary(PING, signal, deadline, undefined, {});
  } catch (error) {
    if (!(error instanceof ConnectError) || error.code !== Code.Unimplemented) throw error;
  }
  return performance.now() - began;
}

/** Describes the data channel in a few words: what is measured of it, and how bulk data is sent. */
export function describeWire({ roundTripMs, sending }: WireStats): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const measured = [
    ...roundTripMs === undefined ? [] : [`round trip of the engine ${ms(roundTripMs)}`],
    `window ${(sending.windowBytes / 1_024).toFixed(0)} KiB`,
    ...sending.bytesPerSecond === undefined ? ["no bulk data sent yet"] : [
      `rate ${(sending.bytesPerSecond / 1e6).toFixed(2)} MB/s`,
      ...sending.roundTripMs === undefined ? [] : [`least round trip ${ms(sending.roundTripMs)}`],
      ...sending.queueMs === undefined ? [] : [`queue ${ms(sending.queueMs)}`],
    ],
  ];
  return `data channel: ${measured.join(", ")}`;
}

/** Describes the path of calls in a few words. */
export function describePath({ kind, protocol, local, remote }: ChannelPath): string {
  const way = local === undefined ? remote : `${local} to ${remote}`;
  return kind === "direct" ? `direct, ${protocol}, ${way}` : `${protocol}, ${kind}, ${way}`;
}
