import { createClient, type Transport } from "@connectrpc/connect";
import { AuthService, ExternalAuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { type TokenLife, tokenLife } from "../core/grpc/token.ts";
import type { Credentials } from "../options/credentials.ts";
import type { Authorization } from "./authorization.ts";

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
  return { token: () => token, refused() {}, renew: () => Promise.resolve(undefined) };
}

/** How long a refresh may take, in milliseconds. */
const REFRESH_TIMEOUT_MS = 20_000;

/**
 * A token that is replaced when it is used up, one refresh at a time. One that is about to expire is replaced before
 * it is used.
 *
 * @param fetchToken Fetches a token.
 * @param closed Stops what is under way.
 * @param first The token to begin with; by default, one is fetched for the first call.
 */
export function refreshedAuthorization(
  fetchToken: (signal: AbortSignal) => Promise<string>,
  closed: AbortSignal,
  first?: string,
): Authorization {
  let current: ({ readonly token: string } & TokenLife) | undefined = first === undefined
    ? undefined
    : kept(first);
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
        current = kept(token);
        return token;
      } finally {
        clearTimeout(timer);
        fetching = undefined;
      }
    })();
    return fetching;
  }

  /** A refresh that comes to nothing is no reason not to use a token that is still good. */
  async function replace(old: { readonly token: string } & TokenLife): Promise<string> {
    try {
      return await fetchOnce();
    } catch (error) {
      if (current === old && Date.now() < old.endsAt) return old.token;
      throw error;
    }
  }

  return {
    token() {
      if (current === undefined) return fetchOnce();
      return Date.now() < current.renewAt ? current.token : replace(current);
    },
    refused(stale) {
      if (current?.token === stale) current = undefined;
    },
    async renew(stale) {
      if (current !== undefined && current.token !== stale) return current.token;
      return await fetchOnce();
    },
  };
}

function kept(token: string): { readonly token: string } & TokenLife {
  return { token, ...tokenLife(token, Date.now()) };
}
