import type { FailureReason } from "./failure_reason.ts";
import type { DialPhase } from "./timeline.ts";

/** Advice for a server that cannot be reached. */
const BY_REASON: Readonly<Partial<Record<FailureReason, string>>> = {
  "connection refused": "Check that the machine runs there, and that the port is right",
  "name not found": "Check the spelling of the name, and that this computer's DNS knows it",
  "no route to host": "Check this computer's network, and that the machine is on it",
  "timed out": "Check that the machine is up, and that no firewall is in between",
  "certificate not trusted":
    "Pass the authority that has signed the certificate as tls.ca, or the name that it is for as tls.serverName",
  "TLS failed":
    "Check that the server speaks TLS and takes the versions and the certificate of the tls option",
  "the server speaks TLS": "Remove insecure, or http:// from the address",
  "the server, or a proxy in front of it, speaks HTTP/1.1 alone":
    'Reach the server without that proxy, or set protocol to "auto"',
  "the URL of the proxy is wrong":
    'Set that variable to a URL such as http://proxy.example:3128, or the option proxy to one or to "none"',
  "the proxy cannot be reached":
    'Check the proxy\'s URL and that it runs, or set the option proxy to "none" if this network needs none',
  "no TLS with the proxy":
    "Write http:// if the proxy speaks no TLS, or pass the authority that has signed its certificate as tls.ca",
  "the proxy wants credentials":
    "Put them into the proxy's URL, as in http://user:password@host:port, with special characters percent-encoded",
  "the proxy refuses":
    "Ask its administrator to let you through to that host and port, or name the host in NO_PROXY if it can be " +
    "reached without",
  "the proxy cannot reach the server":
    "Check the address, and that the proxy can resolve and reach it; name the host in NO_PROXY if it can be reached " +
    "without",
  "no such proxy there":
    "Check the scheme and the port of the proxy's URL: http://, https://, socks5:// or socks5h://",
  worker: "Dial in the main thread and pass its results to the worker, or dial directly with disableWebrtc",
  "connection lost": "Check that it is a gRPC server that listens there, and whether it wants TLS",
};

/** Advice by the phase that failed, where the reason gives none. */
const BY_PHASE: Readonly<Record<DialPhase, string>> = {
  options: "Check this computer's disk and DNS: a look-up that hangs may keep modules from being loaded",
  mdns: "Give the machine's address with its port, or leave the mdns option out",
  tls: "Check the address, and that the server speaks TLS; if it does not, set insecure",
  connect: "Check the address, and that it is a gRPC server that listens there",
  authenticate: "Check the credentials, authEntity and, if it is set, externalAuth",
  config: "Check webrtc.signalingAddress, or dial directly with disableWebrtc",
  engine:
    "Install the package node-datachannel with its optional dependencies, or dial directly with disableWebrtc",
  offer: "Check webrtc.iceServers, or dial directly with disableWebrtc",
  signaling:
    "Check that the machine is online and that its name is right, or dial directly with disableWebrtc",
  channel:
    "Let UDP pass between here and the machine, name a TURN server in webrtc.iceServers, or dial directly with " +
    "disableWebrtc",
};

/** Advises what to do about a failed dial. */
export function dialAdvice(reason: FailureReason, phase: DialPhase): string {
  return BY_REASON[reason] ?? BY_PHASE[phase];
}

/** The wait of each phase, for a dial that ran out of time in it. */
export const PHASE_WAITS: Readonly<Record<DialPhase, string>> = {
  options: "loading what the options need",
  mdns: "looking for the machine on the local network",
  tls: "finding out whether the server speaks TLS",
  connect: "reaching the server",
  authenticate: "waiting for a token",
  config: "asking for ICE servers",
  engine: "loading the WebRTC engine",
  offer: "making the offer",
  signaling: "waiting for the machine's answer",
  channel: "waiting for the data channel",
};
