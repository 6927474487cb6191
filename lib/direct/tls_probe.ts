import { clientHello, readGreeting } from "../core/net/client_hello.ts";
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
  const { connect } = await import("node:net");
  signal.throwIfAborted();
  const answer = await new Promise<"tls" | "plaintext" | "unknown">((resolve) => {
    const socket = endpoint.unixPath === undefined
      ? connect({ host: endpoint.hostname, port: endpoint.port })
      : connect({ path: endpoint.unixPath });
    const timer = setTimeout(() => finish("unknown"), PROBE_TIMEOUT_MS);
    const abort = () => finish("unknown");
    signal.addEventListener("abort", abort, { once: true });
    function finish(result: "tls" | "plaintext" | "unknown"): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.destroy();
      resolve(result);
    }
    socket.on("error", () => finish("unknown"));
    socket.on("close", () => finish("unknown"));
    socket.once("connect", () => {
      socket.write(
        clientHello(
          endpoint.tls?.serverName ?? endpoint.hostname,
          crypto.getRandomValues(new Uint8Array(32)),
        ),
      );
    });
    socket.once("data", (data: Uint8Array) => finish(readGreeting(data[0]!)));
  });
  signal.throwIfAborted();
  return answer;
}
