import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AuthService, ExternalAuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import { type TokenLife, tokenLife } from "../core/grpc/token.ts";
import type { Credentials } from "../options/credentials.ts";
import { linkAbort } from "../runtime/linked_abort.ts";
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
  return sendable(answer.accessToken);
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
  return sendable(answer.accessToken);
}

/**
 * Returns a token that a header can carry.
 *
 * @throws ConnectError `Internal` otherwise: a runtime's own refusal, at each call, would show it
 */
function sendable(token: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(token)) return token;
  throw new ConnectError("the server gave a token with characters that no header can carry", Code.Internal);
}

/** A token that never changes. */
export function fixedAuthorization(token: string): Authorization {
  return { token: () => token, refused() {}, connectionLost() {} };
}

/** Limit of fetching a token, in milliseconds. */
const RENEWAL_TIMEOUT_MS = 20_000;

interface CurrentToken extends TokenLife {
  readonly token: string;
}

/**
 * Renews a token before it expires, after the server refused it, and after a lost connection. Concurrent calls share
 * one renewal.
 *
 * @param fetchToken Fetches a token.
 * @param closed Aborts a renewal.
 * @param first The token to begin with; by default, the first call fetches one.
 */
export function renewedAuthorization(
  fetchToken: (signal: AbortSignal) => Promise<string>,
  closed: AbortSignal,
  first?: string,
): Authorization {
  let current = first === undefined ? undefined : currentToken(first);
  let renewal: Promise<string> | undefined;

  async function renew(old: CurrentToken | undefined): Promise<string> {
    using bound = linkAbort([closed], { timeoutMs: RENEWAL_TIMEOUT_MS });
    try {
      const token = await fetchToken(bound.signal);
      current = currentToken(token);
      return token;
    } catch (error) {
      // After a failed renewal an unexpired token is still usable.
      if (old !== undefined && current === old && Date.now() < old.endsAt) return old.token;
      throw error;
    } finally {
      renewal = undefined;
    }
  }

  return {
    token() {
      if (current !== undefined && Date.now() < current.renewAt) return current.token;
      return renewal ??= renew(current);
    },
    refused(token) {
      if (current?.token === token) current = undefined;
    },
    connectionLost() {
      if (current !== undefined) current = { ...current, renewAt: 0 };
    },
  };
}

function currentToken(token: string): CurrentToken {
  return { token, ...tokenLife(token, Date.now()) };
}
