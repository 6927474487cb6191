import type { DescMethod } from "@bufbuild/protobuf";
import { abortable } from "../runtime/abortable.ts";

/** Gives the bearer token of a channel. */
export interface Authorization {
  /** The token to send now; a promise while it is being fetched, undefined when calls need none. */
  token(): string | undefined | Promise<string | undefined>;
  /**
   * The server refused a call with this token as `Unauthenticated`: the next call needs another. The refused call is not
   * repeated, since a handler may have refused it after it acted.
   */
  refused(token: string): void;
  /** A connection was lost. Its server may have restarted and forgotten its tokens: the next call renews. */
  connectionLost(): void;
}

/**
 * The token for a call. `AuthService` calls go without one: a server refuses to authenticate a caller that is
 * authenticated already (protocol §2.5).
 */
export function tokenFor(
  method: DescMethod,
  authorization: Authorization | undefined,
  signal: AbortSignal | undefined,
): string | undefined | Promise<string | undefined> {
  if (authorization === undefined || method.parent.typeName === "proto.rpc.v1.AuthService") return undefined;
  return abortable(authorization.token(), signal);
}
