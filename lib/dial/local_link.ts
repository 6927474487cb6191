import type { Address } from "../core/net/address.ts";
import type { FoundMachine } from "../core/net/mdns_records.ts";
import { joinHostPort } from "../core/net/address.ts";
import { type DialPlan, localNameOf, planLocalDial } from "../core/dial/plan.ts";
import { missingMdnsPermission } from "../mdns/mdns.ts";
import { findOnLocalNetwork } from "../mdns/mdns_lookup.ts";
import type { DialContext } from "./direct_link.ts";
import type { TimelineRecorder } from "./timeline_recorder.ts";

/** A dial of a machine that was found on the local network. */
export interface LocalDial {
  readonly plan: DialPlan;
  readonly context: DialContext;
}

/**
 * Looks for the machine on the local network (protocol §2.6). Undefined when it is not there or when looking is not
 * permitted; that is no failure.
 */
export async function findLocally(
  address: Address,
  dial: DialContext,
  signal: AbortSignal,
): Promise<LocalDial | undefined> {
  const { options, timeline } = dial;
  const name = localNameOf(address);
  if (name === undefined) return undefined;
  let machine: FoundMachine | undefined;
  try {
    const flag = missingMdnsPermission();
    if (flag !== undefined) {
      timeline.remark("mdns", `did not look for ${name} on the local network: needs ${flag}`);
      return undefined;
    }
    machine = await findOnLocalNetwork(name, signal);
  } catch (error) {
    if (!signal.aborted) {
      timeline.remark("mdns", error instanceof Error ? error.message : String(error), false);
    }
    return undefined;
  }
  if (machine === undefined) {
    timeline.remark("mdns", `${name} is not on the local network`);
    return undefined;
  }
  const plan = planLocalDial(address, machine, options);
  const at = joinHostPort(machine.address, machine.port);
  timeline.remark(
    "mdns",
    `${name} is on the local network at ${at}; dialing it ${
      plan.kind === "direct" ? "directly" : "over WebRTC"
    }`,
  );
  return { plan, context: { ...dial, options: localOptions(address, dial), timeline: besides(timeline) } };
}

/** Anybody can answer: only who proves the name is believed, and nothing goes on in the clear that was not to. */
function localOptions(address: Address, { options }: DialContext): DialContext["options"] {
  return {
    ...options,
    tls: { serverName: address.hostname, ...options.tls },
    allowInsecureDowngrade: false,
    allowInsecureWithCredsDowngrade: false,
  };
}

/** The same timeline, in which another dial goes on: what this one does is a remark there. */
function besides(timeline: TimelineRecorder): TimelineRecorder {
  return {
    get entries() {
      return timeline.entries;
    },
    get phase() {
      return timeline.phase;
    },
    async step(phase, describe, run) {
      try {
        const result = await run();
        timeline.remark(phase, `on the local network: ${describe(result)}`);
        return result;
      } catch (error) {
        timeline.remark(
          phase,
          `on the local network: ${error instanceof Error ? error.message : error}`,
          false,
        );
        throw error;
      }
    },
    remark: (phase, detail, ok) => timeline.remark(phase, `on the local network: ${detail}`, ok),
  };
}
