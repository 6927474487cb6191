import { createClient, type Transport } from "@connectrpc/connect";
import { AuthService, ExternalAuthService } from "../proto/gen/proto/rpc/v1/auth_pb.ts";
import { renewTokenAt } from "./core/token.ts";
import type { Credentials } from "./credentials.ts";
import type { Authorization } from "./rpc/authorization.ts";

/**
 * Exchanges credentials for a token (protocol §2.5).
 *
 * @param transport To the server that authenticates; it must not send a token of its own.
 */
export async function authenticate(
  transport: Transport,
  entity: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<string> {
  const { type, payload } = credentials;
  const answer = await createClient(AuthService, transport).authenticate(
    { entity, credentials: { type, payload } },
    { signal },
  );
  return answer.accessToken;
}

/** Exchanges a token of one server for one that `toEntity` accepts (protocol §2.5). */
export async function authenticateTo(
  transport: Transport,
  token: string,
  toEntity: string,
  signal: AbortSignal,
): Promise<string> {
  const answer = await createClient(ExternalAuthService, transport).authenticateTo(
    { entity: toEntity },
    { signal, headers: { authorization: `Bearer ${token}` } },
  );
  return answer.accessToken;
}

/** A token that never changes. */
export function fixedAuthorization(token: string): Authorization {
  return { token: () => token, renew: () => Promise.resolve(undefined) };
}

/** How long a refresh may take, in milliseconds. */
const REFRESH_TIMEOUT_MS = 20_000;

/**
 * A token that is fetched when it is needed, one fetch at a time. One that is about to expire is replaced before it
 * is used.
 *
 * @param fetchToken Fetches a token.
 * @param closed Stops what is under way.
 */
export function refreshedAuthorization(
  fetchToken: (signal: AbortSignal) => Promise<string>,
  closed: AbortSignal,
): Authorization {
  let current: { readonly token: string; readonly renewAt: number } | undefined;
  let fetching: Promise<string> | undefined;

  function fetchOnce(): Promise<string> {
    fetching ??= (async () => {
      const timeout = new AbortController();
      const timer = setTimeout(
        () => timeout.abort(new DOMException("the token took too long", "TimeoutError")),
        REFRESH_TIMEOUT_MS,
      );
      try {
        const token = await fetchToken(AbortSignal.any([closed, timeout.signal]));
        current = { token, renewAt: renewTokenAt(token) ?? Infinity };
        return token;
      } finally {
        clearTimeout(timer);
        fetching = undefined;
      }
    })();
    return fetching;
  }

  return {
    token() {
      if (current !== undefined && Date.now() < current.renewAt) return current.token;
      return fetchOnce();
    },
    async renew(stale) {
      if (current !== undefined && current.token !== stale) return current.token;
      return await fetchOnce();
    },
  };
}
