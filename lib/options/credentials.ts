import { hideSecrets } from "./option_redaction.ts";

/**
 * Kinds of credential that Viam's servers know (protocol §2.8). Others are sent as they are: a server may define
 * its own.
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
   * The secret itself. It appears in no message, log line or inspection of this module's; an object literal of your
   * own shows it when you print that, and JSON has it, so that options can be handed to another process.
   */
  readonly payload: string;
}

/** A frozen copy that does not show its payload when it is inspected. */
export function hidePayload({ type, payload }: Credentials): Credentials {
  return Object.freeze(hideSecrets({ type, payload }, { payload: true }));
}
