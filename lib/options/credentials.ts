import { hideSecrets } from "./redaction.ts";

/**
 * Kinds of credential that Viam's servers know (protocol §2.8). Others are sent unchanged: a server may define its
 * own.
 */
export type CredentialType =
  | "api-key"
  | "robot-location-secret"
  | "robot-secret"
  | (string & Record<never, never>);

/**
 * A secret to authenticate with. Source: Python's `viam.rpc.dial.Credentials`.
 *
 * @example
 * ```ts
 * import type { Credentials } from "@viam-dial/dial";
 *
 * const credentials: Credentials = { type: "robot-location-secret", payload: "s3cret" };
 * ```
 */
export interface Credentials {
  /** Kind of credential. */
  readonly type: CredentialType;
  /**
   * The secret itself. No message, log line or inspection of this module shows it. An object literal of your own
   * shows it when printed, and JSON contains it, so that options can be handed to another process.
   */
  readonly payload: string;
}

/** Copies credentials, frozen and with an inspection that hides the payload. */
export function hidePayload({ type, payload }: Credentials): Credentials {
  return Object.freeze(hideSecrets({ type, payload }, { payload: true }));
}
