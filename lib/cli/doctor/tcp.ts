import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { dialAdvice } from "../../core/dial/dial_advice.ts";
import { failureReason } from "../../core/dial/failure_reason.ts";
import { connectionReason } from "../../core/net/connection_error.ts";
import { describeChosen } from "../../core/net/proxy.ts";
import { describeTarget, type Target } from "../../core/net/target.ts";
import { abortable } from "../../runtime/abortable.ts";
import { openConnection, type Place } from "../../net/connection.ts";
import { messageOf } from "../error_text.ts";
import { failed, type Finding } from "./ladder.ts";

/** A server, and the proxy to connect to it through. */
export type ProxiedTarget = Target & Place;

/** Resolves a name. */
export async function resolveName(hostname: string, signal: AbortSignal): Promise<Finding> {
  if (isIP(hostname) !== 0) return { verdict: "ok", detail: "is an address" };
  const found = await abortable(lookup(hostname, { all: true }), signal).catch(() => []);
  if (found.length > 0) {
    return { verdict: "ok", detail: found.map(({ address }) => address).join(", ") };
  }
  return failed(`${hostname} has no address`, {
    problem: `The name ${hostname} cannot be resolved`,
    advice: "check its spelling, and that this computer has a network and a name server",
  });
}

/** Opens a TCP connection, or one to a Unix socket, and closes it. */
export async function connectTcp(target: Target, signal: AbortSignal): Promise<Finding> {
  const name = describeTarget(target);
  try {
    (await openConnection(target, { signal })).destroy();
    return { verdict: "ok", detail: `${name} accepts connections` };
  } catch (error) {
    if (signal.aborted) {
      return failed(`${name} does not answer`, {
        advice: "check that the host is up, and that no firewall is in between",
      });
    }
    const reason = connectionReason(error) ?? messageOf(error);
    if (reason === "connection refused") {
      return failed(`nothing listens on ${name}`, {
        problem: `Nothing listens on ${name}`,
        advice: "check the port, and that the machine is running",
      });
    }
    return failed(`${name}: ${reason}`, {
      problem: `${name} cannot be reached (${reason})`,
      advice: "check this computer's network, and that the machine is on it",
    });
  }
}

/** Opens a connection through the proxy, and closes it. */
export async function connectThroughProxy(target: ProxiedTarget, signal: AbortSignal): Promise<Finding> {
  const name = describeTarget(target);
  const { namedBy } = target.proxy!;
  const proxy = describeChosen(target.proxy) ?? namedBy;
  try {
    (await openConnection(target, { signal })).destroy();
    return { verdict: "ok", detail: `${proxy}, of ${namedBy}, leads to ${name}` };
  } catch (error) {
    const detail = signal.aborted ? `the proxy ${proxy} opens no connection to ${name}` : messageOf(error);
    return failed(detail, {
      problem: `${name} cannot be reached through a proxy: ${detail}`,
      advice: dialAdvice(signal.aborted ? "the proxy cannot be reached" : failureReason(error), "connect")
        .replace(/^./, (first) => first.toLowerCase()),
    });
  }
}

/** Reports a server that accepts connections and sends nothing. */
export function silent(name: string): Finding {
  return failed(`${name} accepts connections but sends nothing`, {
    advice: "check the port, and if it is right, restart the machine",
  });
}
