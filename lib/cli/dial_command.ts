import { readFile } from "node:fs/promises";
import { DialOptions } from "../options/dial_options.ts";
import { dial } from "../dial/dial.ts";
import type { ViamChannel } from "../channel/channel.ts";
import { formatTimeline } from "../core/dial/timeline.ts";
import type { DialEvent } from "../events.ts";
import { type Arguments, type Options, UsageError } from "./arguments.ts";
import { messageOf } from "./error_text.ts";
import { showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Options of every command that dials. */
export const DIAL_OPTIONS: Options = {
  "verbose": { short: "v", help: "show the progress of the dial on standard error" },
  "direct": { help: "dial directly, without WebRTC" },
  "insecure": { help: "connect without TLS" },
  "allow-insecure-downgrade": { help: "continue without TLS if the server has none" },
  "allow-insecure-with-creds-downgrade": { help: "the same, and send credentials in cleartext" },
  "signaling": { value: "HOST:PORT", help: "use this signaling server" },
  "signaling-insecure": { help: "signal without TLS" },
  "proxy": {
    value: "URL",
    help: 'connect through this proxy; "none" for none, instead of the environment\'s',
  },
  "no-mdns": { help: "do not look for the machine on the local network" },
  "force-relay": { help: "use WebRTC through TURN servers only" },
  "force-p2p": { help: "use WebRTC without TURN servers" },
  "protocol": { value: "NAME", words: ["auto", "grpc", "grpc-web"], help: "protocol of direct connections" },
  "ca": { value: "FILE", file: true, help: "trust this authority (PEM) instead of the system's" },
  "client-cert": { value: "FILE", file: true, help: "the client's certificate (PEM)" },
  "client-key": { value: "FILE", file: true, help: "the client's private key (PEM)" },
  "server-name": { value: "NAME", help: "verify this name instead of the host's" },
  "credentials-file": {
    value: "FILE",
    file: true,
    help: 'credentials as JSON: {"apiKey": …, "apiKeyId": …}, or {"type": …, "payload": …, "entity": …}',
  },
  "entity": { value: "NAME", help: "authenticate as this entity" },
  "header": { value: "NAME:VALUE", short: "H", multiple: true, help: "send this metadata with every call" },
  "timeout": { value: "MS", help: "time limit of the dial; 20000 by default" },
};

/** The variables that replace missing arguments. */
export const VARIABLES = {
  address: "VIAM_ADDRESS",
  apiKey: "VIAM_API_KEY",
  apiKeyId: "VIAM_API_KEY_ID",
} as const;

/** The address to dial. */
export function addressOf(typed: string | undefined, terminal: Terminal): string {
  const address = typed ?? terminal.variable(VARIABLES.address);
  if (address === undefined) {
    throw new UsageError(`Which machine? Give its address, or set ${VARIABLES.address}`);
  }
  return address;
}

/**
 * The options to dial with.
 *
 * @throws {UsageError} when they cannot be had
 */
export async function dialOptionsOf(args: Arguments, terminal: Terminal): Promise<DialOptions> {
  const signaling = args.text("signaling");
  const serverName = args.text("server-name");
  const protocol = args.text("protocol") as DialOptions["protocol"];
  const timeoutMs = args.integer("timeout", 0, Infinity);
  const tls = {
    ...await fileOption(args, "ca", "ca"),
    ...await fileOption(args, "client-cert", "cert"),
    ...await fileOption(args, "client-key", "key"),
    ...(serverName === undefined ? {} : { serverName }),
  };
  return {
    ...await credentialsOf(args, terminal),
    ...(args.has("direct") ? { disableWebrtc: true } : {}),
    ...(args.has("insecure") ? { insecure: true } : {}),
    ...(args.has("no-mdns") ? { mdns: false } : {}),
    ...(args.has("allow-insecure-downgrade") ? { allowInsecureDowngrade: true } : {}),
    ...(args.has("allow-insecure-with-creds-downgrade") ? { allowInsecureWithCredsDowngrade: true } : {}),
    ...(protocol === undefined ? {} : { protocol }),
    ...proxyOption(args),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    headers: args.texts("header").map(headerOf),
    webrtc: {
      ...(signaling === undefined ? {} : { signalingAddress: signaling }),
      ...(args.has("signaling-insecure") ? { signalingInsecure: true } : {}),
      ...(args.has("force-relay") ? { forceRelay: true } : {}),
      ...(args.has("force-p2p") ? { forceP2P: true } : {}),
    },
    signal: terminal.signal,
  };
}

/**
 * Dials, and shows the progress.
 *
 * @param lasting Reconnects until the user interrupts, and tells of it.
 */
export async function dialMachine(
  address: string,
  args: Arguments,
  terminal: Terminal,
  lasting = false,
): Promise<ViamChannel> {
  const options = await dialOptionsOf(args, terminal);
  const progress = showProgress(terminal, `dialing ${address}`);
  let lost = false;
  try {
    return await dial(address, {
      ...options,
      ...(lasting ? { maxReconnectAttempts: Infinity } : {}),
      onEvent(event) {
        if (event.type === "progress") {
          const { phase, ok } = event.entry;
          progress.now(`dialing ${address}: ${phase}${ok ? "" : " failed"}`);
        }
        if (args.has("verbose")) terminal.warn(`${describeEvent(event)}\n`);
        else if (!lasting || args.has("json")) return;
        else if (event.type === "disconnected") {
          lost = true;
          terminal.warn(
            `viam-dial: lost the connection to ${address}, reconnecting: ${event.error.message}\n`,
          );
        } else if (event.type === "connected" && lost) {
          lost = false;
          terminal.warn(`viam-dial: connected to ${address} again\n`);
        }
      },
    });
  } finally {
    progress.end();
  }
}

/** Formats an event as one line. */
export function describeEvent(event: DialEvent): string {
  switch (event.type) {
    case "progress":
      return formatTimeline([event.entry]);
    case "connecting":
      return `connecting to ${event.address}`;
    case "connected":
      return `connected: ${event.kind}`;
    case "disconnected":
      return `disconnected: ${event.error.message}`;
    case "reconnecting":
      return `reconnecting, attempt ${event.attempt} in ${Math.round(event.delayMs)} ms`;
    case "reconnectfailed":
      return `attempt ${event.attempt} failed: ${event.error.message}`;
    case "closed":
      return event.error === undefined ? "closed" : `closed: ${event.error.message}`;
  }
}

async function credentialsOf(args: Arguments, terminal: Terminal): Promise<DialOptions> {
  const entity = args.text("entity");
  const named = entity === undefined ? {} : { authEntity: entity };
  const file = args.text("credentials-file");
  if (file !== undefined) return { ...await readCredentials(file), ...named };
  const { apiKey, apiKeyId } = apiKeyOf(terminal);
  if (apiKey === undefined && apiKeyId === undefined) return named;
  if (apiKey === undefined || apiKeyId === undefined) {
    throw new UsageError(`${VARIABLES.apiKey} and ${VARIABLES.apiKeyId} go together; set both or neither`);
  }
  return { ...DialOptions.withApiKey(apiKey, apiKeyId), ...named };
}

/** The API key of the environment. */
export function apiKeyOf(terminal: Terminal): Readonly<Record<"apiKey" | "apiKeyId", string | undefined>> {
  const read = (name: string) => withoutLineEnd(terminal.variable(name));
  return { apiKey: read(VARIABLES.apiKey), apiKeyId: read(VARIABLES.apiKeyId) };
}

/** Editors and `echo` end a secret with a line end that does not belong to it. */
function withoutLineEnd(value: unknown): string | undefined {
  return typeof value === "string" ? value.replace(/[\r\n]+$/, "") : undefined;
}

/** Reads credentials from a file. No message contains any of its content. */
async function readCredentials(file: string): Promise<DialOptions> {
  const text = await readText(file, "credentials-file");
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw new UsageError(`--credentials-file ${file} is not JSON`);
  }
  const given = Object(read) as Record<string, unknown>;
  const [apiKey, apiKeyId, type, payload, entity] = ["apiKey", "apiKeyId", "type", "payload", "entity"].map(
    (member) => withoutLineEnd(given[member]),
  );
  if (apiKey !== undefined && apiKeyId !== undefined) return DialOptions.withApiKey(apiKey, apiKeyId);
  if (type !== undefined && payload !== undefined) {
    return { credentials: { type, payload }, ...(entity === undefined ? {} : { authEntity: entity }) };
  }
  throw new UsageError(`--credentials-file ${file} has neither apiKey and apiKeyId, nor type and payload`);
}

function headerOf(text: string): [string, string] {
  const colon = text.indexOf(":");
  // Without the text of the error, which may contain a secret.
  if (colon <= 0) throw new UsageError("--header takes NAME:VALUE; there is no name before a colon");
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

function proxyOption(args: Arguments): { readonly proxy?: string } {
  const proxy = args.text("proxy");
  if (proxy === undefined) return {};
  if (proxy.includes("@")) {
    throw new UsageError(
      "--proxy takes no user and no password, which others could see in the list of processes: set HTTPS_PROXY",
    );
  }
  return { proxy };
}

async function fileOption(args: Arguments, option: string, member: string): Promise<Record<string, string>> {
  const file = args.text(option);
  if (file === undefined) return {};
  const text = await readText(file, option);
  // The runtimes report anything else as an unreachable server.
  if (!text.includes("-----BEGIN ")) throw new UsageError(`--${option} ${file} is not PEM`);
  return { [member]: text };
}

/** Reads a text file that an option names; a byte order mark names its encoding. */
export async function readText(file: string, option: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new UsageError(`--${option} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const mark = (bytes[0] ?? 0) << 8 | (bytes[1] ?? 0);
  return new TextDecoder(mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8").decode(bytes);
}
