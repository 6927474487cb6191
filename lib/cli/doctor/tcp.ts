import { lookup } from "node:dns/promises";
import net from "node:net";
import { connectionReason } from "../../core/net/connection_error.ts";
import { describeTarget, type Target } from "../../core/net/target.ts";
import { abortable } from "../../runtime/abortable.ts";
import { messageOf } from "../error_text.ts";
import type { Step } from "./ladder.ts";

/** Resolves a name. */
export async function resolveName(hostname: string, signal: AbortSignal): Promise<Step<true>> {
  if (net.isIP(hostname) !== 0) return { verdict: "ok", detail: "is an address", result: true };
  const found = await abortable(lookup(hostname, { all: true }), signal).catch(() => []);
  if (found.length > 0) {
    return { verdict: "ok", detail: found.map(({ address }) => address).join(", "), result: true };
  }
  return {
    verdict: "failed",
    detail: `${hostname} has no address`,
    problem: `The name ${hostname} cannot be resolved`,
    advice: "check its spelling, and that this computer has a network and a name server",
  };
}

/** Opens a TCP connection, or one to a Unix socket, and closes it. */
export async function connectTcp(target: Target, signal: AbortSignal): Promise<Step<true>> {
  const name = describeTarget(target);
  try {
    await opened(net.connect(placeOf(target)), "connect", signal);
    return { verdict: "ok", detail: `${name} accepts connections`, result: true };
  } catch (error) {
    if (signal.aborted) {
      return {
        verdict: "failed",
        detail: `${name} does not answer`,
        advice: "check that the host is up, and that no firewall is in between",
      };
    }
    const reason = connectionReason(error) ?? messageOf(error);
    if (reason === "connection refused") {
      return {
        verdict: "failed",
        detail: `nothing listens on ${name}`,
        problem: `Nothing listens on ${name}`,
        advice: "check the port, and that the machine is running",
      };
    }
    return {
      verdict: "failed",
      detail: `${name}: ${reason}`,
      problem: `${name} cannot be reached (${reason})`,
      advice: "check this computer's network, and that the machine is on it",
    };
  }
}

/** Resolves with what `look` finds once a socket is open, and closes the socket. */
export function opened<T>(
  socket: net.Socket,
  event: string,
  signal: AbortSignal,
  look?: () => T,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      signal.removeEventListener("abort", abort);
      act();
      socket.destroy();
    };
    const abort = () => finish(() => reject(signal.reason));
    socket.on("error", (error) => finish(() => reject(error)));
    socket.on("close", () => finish(() => reject(new Error("the connection was closed"))));
    socket.once(event, () =>
      finish(() => {
        try {
          resolve(look?.());
        } catch (error) {
          reject(error);
        }
      }));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

/** Address that a socket connects to. */
export function placeOf(
  { hostname, port, unixPath }: Target,
): { path: string } | { host: string; port: number } {
  return unixPath === undefined ? { host: hostname, port } : { path: unixPath };
}

/** Reports a server that accepts connections and sends nothing. */
export function silent(name: string): Step<never> {
  return {
    verdict: "failed",
    detail: `${name} accepts connections but sends nothing`,
    advice: "check the port, and if it is right, restart the machine",
  };
}
