import { type Address, comparable, isLocalName, isLoopback, isPrivate } from "../net/address.ts";
import type { FoundMachine } from "../net/mdns_records.ts";
import type { Target } from "../net/target.ts";

/** Plan of a dial. */
export type DialPlan =
  | {
    readonly kind: "direct";
    /** The reason why it is not dialed over WebRTC. */
    readonly reason: "unix socket" | "disableWebrtc" | "local name";
    readonly target: Target;
  }
  | {
    readonly kind: "webrtc";
    /** The server that signals. */
    readonly signaling: Target;
    /** True if that is the machine itself. */
    readonly ownSignaling: boolean;
    /** Names the machine to the signaling server: the address as typed. */
    readonly host: string;
    /** Server to reach when there is no signaler (protocol §2.1). */
    readonly fallback: Target;
    /** True if servers on the internet can be of use. */
    readonly publicNetwork: boolean;
  };

/** The server that a dial reaches first: the machine itself, or the one that signals for it. */
export function firstServer(plan: DialPlan): Target {
  return plan.kind === "direct" ? plan.target : plan.signaling;
}

/** The options that a plan depends on. */
export interface PlanOptions {
  readonly insecure: boolean;
  readonly disableWebrtc: boolean;
  /** Signaling server that the caller names. */
  readonly signalingAddress: Address | undefined;
  readonly webrtc: { readonly signalingInsecure?: boolean };
}

/** Cloud names and their signaling servers (RDK `grpc/dial.go`; protocol §2.1), matched from a label on. */
const CLOUDS: readonly (readonly [suffix: string, hostname: string, port: number])[] = [
  [".viam.cloud", "app.viam.com", 443],
  [".viamstg.cloud", "app.viam.dev", 443],
  [".robot.viaminternal", "app.viaminternal", 8089],
];

/** The signaling server of the cloud that a name belongs to. */
function cloudOf(hostname: string): Target | undefined {
  const name = comparable(hostname);
  const cloud = CLOUDS.find(([suffix]) => name.endsWith(suffix) && name.length > suffix.length);
  return cloud && { hostname: cloud[1], port: cloud[2], secure: true };
}

/** Tells whether a dial looks for its machine on the local network, too. */
export function looksLocally(address: Address, { mdns }: { readonly mdns: boolean }): boolean {
  return mdns && localNameOf(address) !== undefined;
}

/**
 * Gives the name to look for on the local network: a name that is typed alone. An address or a port says where the
 * machine is (protocol §2.1).
 */
export function localNameOf(address: Address): string | undefined {
  const { hostname, port, scheme, unixPath } = address;
  if (unixPath !== undefined || port !== undefined || scheme !== undefined) return undefined;
  if (hostname.includes(":") || /^[0-9.]+$/.test(hostname) || isLoopback(hostname)) return undefined;
  return hostname;
}

/**
 * Plans the dial of a machine that was found on the local network: it does its own signaling, and is called what it was
 * dialed as. What anybody there can answer is trusted with TLS alone where the cloud would be.
 */
export function planLocalDial(
  address: Address,
  machine: FoundMachine,
  options: { readonly insecure: boolean; readonly disableWebrtc: boolean },
): DialPlan {
  const secure = !options.insecure || cloudOf(address.hostname) !== undefined;
  const target: Target = { hostname: machine.address, port: machine.port, secure };
  if (options.disableWebrtc || !machine.webrtc) return { kind: "direct", reason: "local name", target };
  return {
    kind: "webrtc",
    signaling: target,
    ownSignaling: true,
    host: address.authority,
    fallback: target,
    publicNetwork: false,
  };
}

/** Decides how to dial (protocol §2.9, steps 3 and 4). */
export function planDial(address: Address, options: PlanOptions): DialPlan {
  const target = targetOf(address, options.insecure);
  if (address.unixPath !== undefined) return { kind: "direct", reason: "unix socket", target };
  if (options.disableWebrtc) return { kind: "direct", reason: "disableWebrtc", target };
  const named = options.signalingAddress;
  if (named === undefined && isLocalName(address.hostname)) {
    return { kind: "direct", reason: "local name", target };
  }
  const signaling = named === undefined
    ? cloudOf(address.hostname) ?? target
    : targetOf(named, options.webrtc.signalingInsecure ?? options.insecure);
  return {
    kind: "webrtc",
    signaling,
    ownSignaling: signaling === target,
    host: address.authority,
    fallback: target,
    publicNetwork: !isPrivate(signaling.hostname),
  };
}

/** Reads an address; its scheme, if it has one, says whether over TLS. */
export function targetOf(address: Address, insecure: boolean): Target {
  const secure = address.scheme === undefined ? !insecure : address.scheme === "https";
  return {
    hostname: address.hostname,
    // As in Python: 80 without TLS, 443 with it.
    port: address.port ?? (secure ? 443 : 80),
    secure: address.unixPath === undefined && secure,
    unixPath: address.unixPath,
  };
}
