import type { Socket } from "node:net";
import { clientHello, readGreeting } from "../core/net/client_hello.ts";
import { abortable } from "../runtime/abortable.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
import type { Endpoint } from "./endpoint.ts";

/** Time for the answer to a ClientHello, in milliseconds. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Finds out whether a server speaks TLS: sends a ClientHello on a separate connection, and looks at the first byte of
 * the answer. Refusal, reset, silence and a close without a byte are "unknown": only an answer that is not TLS counts
 * as plaintext (protocol §2.7).
 *
 * @throws the reason of the signal
 */
export async function probeTls(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<"tls" | "plaintext" | "unknown"> {
  const { openConnection } = await import("../net/connection.ts");
  using bounded = linkAbort([signal], { timeoutMs: PROBE_TIMEOUT_MS });
  try {
    const socket = await openConnection(endpoint, { signal: bounded.signal, timeoutMs: PROBE_TIMEOUT_MS });
    return await answerOf(socket, endpoint.tls?.serverName ?? endpoint.hostname, bounded.signal);
  } catch {
    signal.throwIfAborted();
    return "unknown";
  }
}

async function answerOf(
  socket: Socket,
  name: string,
  signal: AbortSignal,
): Promise<"tls" | "plaintext" | "unknown"> {
  const { promise, resolve } = Promise.withResolvers<"tls" | "plaintext" | "unknown">();
  socket.on("close", () => resolve("unknown"));
  socket.once("data", (data: Uint8Array) => resolve(readGreeting(data[0]!)));
  socket.write(clientHello(name, crypto.getRandomValues(new Uint8Array(32))));
  return await abortable(promise, signal).finally(() => socket.destroy());
}
