import { Code } from "@connectrpc/connect";
import { isOpenToOthers, joinHostPort, parseAddress } from "../core/net/address.ts";
import { untilAborted } from "../runtime/wait.ts";
import { oneAddress, UsageError } from "./arguments.ts";
import type { Run } from "./command.ts";
import { addressOf, dialMachine } from "./dial_command.ts";
import { EXIT } from "./exit_code.ts";
import { listening } from "./listening.ts";
import { startProxy } from "./proxy/server.ts";

/** Serves a machine on a local port. */
export const proxy: Run = async (args, terminal) => {
  const { hostname, port } = listenOn(args.text("listen") ?? "0");
  const address = addressOf(oneAddress("proxy", args), terminal);
  await using channel = await dialMachine(address, args, terminal, true);
  const served = await listening(
    joinHostPort(hostname, port),
    startProxy(channel, {
      hostname,
      port,
      allowedOrigins: args.texts("allow-origin"),
      onCall(path, { error, sent, received }) {
        if (!args.has("verbose")) return;
        const status = error === undefined ? "OK" : `${Code[error.code]}: ${error.rawMessage}`;
        terminal.warn(`${path}: ${sent} sent, ${received} received, ${status}\n`);
      },
    }),
  );
  try {
    const local = joinHostPort(hostname, served.port);
    await terminal.write(
      args.has("json")
        ? `${JSON.stringify({ type: "listening", address: local, machine: address, path: channel.path })}\n`
        : `${address} is at ${local}, as gRPC over cleartext HTTP/2 and as gRPC-Web\n` +
          `  grpcurl -plaintext ${local} list\n`,
    );
    if (isOpenToOthers(hostname)) {
      terminal.warn(`whoever can reach ${local} calls ${address} with your credentials\n`);
    }
    await untilAborted(terminal.signal).catch(() => {});
    return EXIT.ok;
  } finally {
    await served.close();
  }
};

/** Reads `PORT`, `HOST:PORT` and `[v6]:PORT`. */
export function listenOn(text: string): { readonly hostname: string; readonly port: number } {
  const [, host = "127.0.0.1", digits] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  // Parsed as an address, whose port is never 0.
  const parsed = parseAddress(`${host}:1`);
  if (digits === undefined || port > 65_535 || "problem" in parsed || parsed.scheme !== undefined) {
    throw new UsageError(`--listen is ${JSON.stringify(text)}; it takes PORT or HOST:PORT`);
  }
  return { hostname: parsed.hostname, port };
}
