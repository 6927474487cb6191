/** Parts that the tests of the parity table share: machines, dials of them, and failures of dials. */

import assert from "node:assert/strict";
import { AuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { type Machine, type MachineOptions, startMachine } from "../../lib/testing/mod.ts";
import { DialOptions } from "../../mod.ts";
import { sharedCertificates } from "../certificates.ts";

/** Options for a machine that speaks no TLS: with its API key, where it has one. */
export function optionsFor(machine: Machine): DialOptions {
  return machine.apiKey === ""
    ? { insecure: true }
    : { ...DialOptions.withApiKey(machine.apiKey, machine.apiKeyId), insecure: true };
}

/** The two ways to a machine. */
export const WAYS: readonly (readonly [kind: "webrtc" | "direct", options: DialOptions])[] = [
  ["webrtc", {}],
  ["direct", { disableWebrtc: true }],
];

/** The error that it rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then((value) => assert.fail(`it did not fail: ${value}`), (error) => error);
}

/** Somebody who authenticated. */
export interface Caller {
  readonly entity: string;
  readonly type: string;
  readonly payload: string;
}

/** A machine that lets everybody in, and writes down who they said they were. */
export async function startRegistrar(
  options: MachineOptions = {},
): Promise<{ readonly machine: Machine; readonly callers: Caller[] }> {
  const callers: Caller[] = [];
  const machine = await startMachine({
    ...options,
    auth: "none",
    routes: (router) =>
      router.service(AuthService, {
        authenticate({ entity, credentials }) {
          callers.push({ entity, type: credentials?.type ?? "", payload: credentials?.payload ?? "" });
          return { accessToken: "a-token" };
        },
      }),
  });
  return { machine, callers };
}

/** A machine that speaks TLS, with the authority that it is to be trusted by. */
export async function startSecureMachine(
  options: MachineOptions = {},
  names?: readonly string[],
): Promise<{ readonly machine: Machine; readonly ca: string }> {
  const { ca, cert, key } = await sharedCertificates(names);
  return { machine: await startMachine({ ...options, tls: { cert, key } }), ca };
}

/** Paths of the services that a dial calls. */
export const AUTHENTICATE = "/proto.rpc.v1.AuthService/Authenticate";
export const CONFIG = "/proto.rpc.webrtc.v1.SignalingService/OptionalWebRTCConfig";
export const CALL = "/proto.rpc.webrtc.v1.SignalingService/Call";

/** Calls to a method, whichever way they came. */
export function callsTo(machine: Machine, path: string): number {
  return Object.values(machine.callsTo(path)).reduce((sum, count) => sum + count, 0);
}
