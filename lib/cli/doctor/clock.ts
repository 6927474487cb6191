import type { TlsOptions } from "../../options/dial_options.ts";
import { urlOf } from "../../core/net/target.ts";
import { createNodeFetch } from "../../direct/node_fetch.ts";
import type { Finding } from "./ladder.ts";
import type { ProxiedTarget } from "./tcp.ts";

/** Largest difference of two clocks that is not reported, in seconds: tokens and certificates allow for minutes. */
const MAX_SKEW_S = 60;

/** Compares clocks by the server's Date header, which has whole seconds. */
export function judgeClock(dateHeader: string | undefined, sent: number, received: number): Finding {
  const theirs = Date.parse(dateHeader ?? "");
  if (Number.isNaN(theirs)) {
    return { verdict: "skipped", detail: "the server does not tell its time" };
  }
  const skew = Math.round((theirs + 500 - (sent + received) / 2) / 1000);
  if (Math.abs(skew) <= MAX_SKEW_S) {
    return { verdict: "ok", detail: "this computer's clock and the server's agree" };
  }
  return {
    verdict: "note",
    detail: `the server's clock is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} this computer's`,
    advice: "set them right: tokens and certificates depend on it",
  };
}

/** Asks the server for its time. */
export async function checkClock(
  target: ProxiedTarget,
  tls: TlsOptions,
  signal: AbortSignal,
): Promise<Finding> {
  if (target.unixPath !== undefined) return { verdict: "skipped", detail: "a Unix socket" };
  const sent = Date.now();
  const { fetch, close } = createNodeFetch({ ...target, tls });
  try {
    const { headers, body } = await fetch(`${urlOf(target)}/`, { signal });
    await body?.cancel();
    return judgeClock(headers.get("date") ?? undefined, sent, Date.now());
  } catch {
    // A server that speaks HTTP/2 only closes the connection.
    return judgeClock(undefined, sent, sent);
  } finally {
    close();
  }
}
