import { Code, ConnectError } from "@connectrpc/connect";
import { separateBulk, type WatchedLink } from "../channel/bulk_separation.ts";
import type { Link } from "../channel/link.ts";
import { looksLocally } from "../core/dial/plan.ts";
import { abortable } from "../runtime/abortable.ts";
import type { DialContext } from "./context.ts";
import { connectDirectly } from "./direct_link.ts";
import { withHeadStart } from "./head_start.ts";
import { reachSignaling } from "./server.ts";
import { createTimeline } from "./timeline.ts";

/** Time that the connection through the cloud waits for a machine that was found locally, in milliseconds. */
const LOCAL_HEAD_START_MS = 300;

/** Dials as planned and, at the same time, looks for the machine on the local network. */
export async function connectAnyWay(dial: DialContext, signal: AbortSignal): Promise<Link> {
  if (!looksLocally(dial.parsed, dial.options)) return await connectAsPlanned(dial, signal);
  return await withHeadStart<Link>({
    async better(until, onPromising) {
      // Loaded beside the other way, which does not wait for it.
      const { findLocally } = await abortable(import("./local_link.ts"), until);
      const local = await findLocally(dial, until);
      if (local === undefined) return undefined;
      onPromising();
      return await connectAsPlanned(local, until);
    },
    other: (until) => connectAsPlanned(dial, until),
    headStartMs: LOCAL_HEAD_START_MS,
    // A key that is wrong for the cloud is wrong for its machine.
    isFinal: (error) => ConnectError.from(error).code === Code.Unauthenticated,
    discard: (late) => late.close(),
    background: dial.background,
    signal,
  });
}

async function connectAsPlanned(dial: DialContext, signal: AbortSignal): Promise<Link> {
  const { plan, timeline } = dial;
  if (plan.kind === "direct") return await connectDirectly(plan.target, dial, signal);
  // A reconnect may have a server that is connected already.
  const reaching = dial.reconnecting ? undefined : reachSignaling(plan, dial, signal);
  reaching?.catch(() => {});
  // Loaded meanwhile, and here, so that a script that dials directly starts faster.
  const { connectByWebrtc } = await abortable(import("./webrtc_link.ts"), signal).catch((error) => {
    if (reaching !== undefined) {
      dial.background.add(reaching.then(({ carrier }) => carrier.close(), () => {}));
    }
    throw error;
  });
  const link = await connectByWebrtc(plan, dial, reaching, signal);
  if (link !== undefined) {
    return withSeparation(link, dial, (beside, by) => connectByWebrtc(plan, beside, undefined, by));
  }
  if (dial.reconnecting) {
    throw new ConnectError(
      "the signaling server no longer signals for this machine",
      Code.FailedPrecondition,
    );
  }
  timeline.remark("config", `no signaler for ${plan.host}; dialing it directly`);
  return await connectDirectly(plan.fallback, dial, signal);
}

/** Lets bulk data have a connection of its own, which is made in the same way, unless that is not wanted. */
function withSeparation(
  link: WatchedLink,
  dial: DialContext,
  connect: (dial: DialContext, signal: AbortSignal) => Promise<WatchedLink | undefined>,
): Link {
  const { address, options } = dial;
  const { logger, signal, webrtc } = options;
  if (webrtc.separateBulk === false) return link;
  return separateBulk(link, {
    memory: dial.bulk,
    signal,
    log: (message) => logger.info(message, { address }),
    async connect(by) {
      // Its steps are for the log alone: they belong neither to the dial nor to a reconnect.
      const next = await connect({ ...dial, beside: true, timeline: createTimeline(logger, undefined) }, by);
      if (next === undefined) throw new Error("the signaling server no longer signals for this machine");
      return next;
    },
  });
}
