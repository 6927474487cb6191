import { localNameOf, planLocalDial } from "../core/dial/plan.ts";
import { messageOf } from "../core/error_message.ts";
import { joinHostPort } from "../core/net/address.ts";
import type { FoundMachine } from "../core/net/mdns_records.ts";
import { missingMdnsPermission } from "../mdns/mdns.ts";
import { findOnLocalNetwork } from "../mdns/mdns_lookup.ts";
import type { DialContext } from "./context.ts";
import { described, type TimelineRecorder } from "./timeline.ts";

/**
 * Looks for the machine on the local network (protocol §2.6).
 *
 * @returns The dial to go on with there; undefined when the machine is not there, when looking is not permitted, or
 * when it can only be reached directly and the channel is to stay WebRTC.
 */
export async function findLocally(dial: DialContext, signal: AbortSignal): Promise<DialContext | undefined> {
  const { parsed, options, timeline } = dial;
  const name = localNameOf(parsed);
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
    if (!signal.aborted) timeline.remark("mdns", messageOf(error), false);
    return undefined;
  }
  if (machine === undefined) {
    timeline.remark("mdns", `${name} is not on the local network`);
    return undefined;
  }
  const plan = planLocalDial(parsed, machine, options);
  const at = joinHostPort(machine.address, machine.port);
  const how = plan.kind === "direct" ? "directly" : "over WebRTC";
  if (dial.reconnecting && plan.kind === "direct") {
    timeline.remark("mdns", `${name} is on the local network at ${at}, and takes no WebRTC there`);
    return undefined;
  }
  timeline.remark("mdns", `${name} is on the local network at ${at}; dialing it ${how}`);
  return {
    ...dial,
    plan,
    options: localOptions(dial),
    proxyFor: () => undefined, // a proxy knows nothing of this network
    timeline: besides(timeline),
  };
}

/** Anybody on the network can answer: the machine must prove its name, and there is no downgrade to plaintext. */
function localOptions({ parsed, options }: DialContext): DialContext["options"] {
  return {
    ...options,
    tls: { serverName: parsed.hostname, ...options.tls },
    allowInsecureDowngrade: false,
    allowInsecureWithCredsDowngrade: false,
  };
}

/** Records the steps of this dial as remarks: the other way records its steps in the same timeline. */
function besides(timeline: TimelineRecorder): TimelineRecorder {
  const note: TimelineRecorder["remark"] = (phase, description, ok) => {
    const noted = described(description);
    timeline.remark(phase, { ...noted, detail: `on the local network: ${noted.detail}` }, ok);
  };
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
        note(phase, describe(result));
        return result;
      } catch (error) {
        note(phase, messageOf(error), false);
        throw error;
      }
    },
    remark: note,
  };
}
