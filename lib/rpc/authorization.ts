/**
 * Where the bearer token of a channel comes from. `AuthService` calls go without (protocol §2.5: a server refuses
 * to authenticate who is authenticated already).
 */
export interface Authorization {
  /** The token to send now; a promise while it is being fetched, undefined when calls need none. */
  token(): string | undefined | Promise<string | undefined>;
  /** The server has refused `stale`, for a call that cannot be made again: the next one needs another. */
  refused(stale: string): void;
  /**
   * The token to retry with after the server refused `stale` as `Unauthenticated`; undefined when there is none
   * to be had. Callers that come at once share one refresh.
   */
  renew(stale: string): Promise<string | undefined>;
}
