import type { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { AuthService, ExternalAuthService } from "../../proto/gen/proto/rpc/v1/auth_pb.ts";
import type { AuthenticatedCall } from "../server/http_handler.ts";
import type { Routes } from "../server/routes.ts";
import type { MachineAuth } from "./machine_options.ts";
import { createTokenSigner, type TokenSigner } from "./token_signer.ts";

/** Settings of authentication. */
export interface AuthenticationOptions extends Omit<MachineAuth, "trusts"> {
  /** Signers whose tokens for this machine are accepted here. */
  readonly trusted: readonly TokenSigner[];
  /** The machine's names; the first issues the tokens. */
  readonly names: () => readonly string[];
  /** Tells whether an entity is a name of the machine. */
  readonly isName: (entity: string) => boolean;
}

/** The authentication of one machine (protocol §5.6). */
export interface Authentication {
  readonly routes: Routes;
  /** Throws unless the call has a valid token or needs none. */
  check(call: AuthenticatedCall): void;
  readonly signer: TokenSigner;
}

const PREFIX = "Bearer ";

const callerKey = createContextKey("", { description: "the entity that a call's token names" });

/** The entity in a call's token; empty where calls need none. */
export function callerOf(context: HandlerContext): string {
  return context.values.get(callerKey);
}

/** Makes the authentication of a machine: the check of calls, and the services that issue tokens. */
export function createAuthentication(options: AuthenticationOptions): Authentication {
  const { credentials, externalAuth = false, names, tokenLifetimeMs } = options;
  const signer = createTokenSigner();
  const signers = [signer, ...options.trusted];
  const types = new Set<string>(credentials.map(({ type }) => type));
  if (externalAuth || options.trusted.length > 0) types.add("external");

  function sign(subject: string, audience: readonly string[], type: string): string {
    const now = Date.now();
    return signer.sign({
      sub: subject,
      aud: audience,
      iss: names()[0]!,
      iat: Math.floor(now / 1000),
      jti: crypto.randomUUID(),
      rpc_creds_type: type,
      ...(tokenLifetimeMs === undefined ? {} : { exp: (now + tokenLifetimeMs) / 1000 }),
    });
  }

  const routes: Routes = (router) => {
    router.service(AuthService, {
      authenticate({ entity, credentials: given }, context) {
        if (context.requestHeader.has("authorization")) {
          throw new ConnectError("already authenticated; cannot re-authenticate", Code.InvalidArgument);
        }
        if (given === undefined) throw new ConnectError("credentials required", Code.InvalidArgument);
        const { type, payload } = given;
        const known = credentials.filter((accepted) => accepted.type === type);
        if (known.length === 0) {
          throw new ConnectError(
            `do not know how to handle credential type ${JSON.stringify(type)}`,
            Code.InvalidArgument,
          );
        }
        // Compares every secret for any entity, so that the time taken reveals nothing.
        const good = known.filter((accepted) =>
          isSame(accepted.payload, payload) &&
          (accepted.entity === undefined ? options.isName(entity) : isSame(accepted.entity, entity))
        );
        if (good.length === 0) throw new ConnectError("invalid credentials", Code.Unauthenticated);
        return { accessToken: sign(entity, names(), type) };
      },
    });
    if (!externalAuth) return;
    router.service(ExternalAuthService, {
      authenticateTo: ({ entity }, context) => ({
        accessToken: sign(callerOf(context), [entity], "external"),
      }),
    });
  };

  return {
    routes,
    signer,
    check(context) {
      if (context.service.typeName === AuthService.typeName) return;
      const value = context.requestHeader.get("authorization");
      // HTTP joins repeated headers with a comma, and no token has one.
      if (value === null || value.includes(",")) {
        throw new ConnectError("authentication required", Code.Unauthenticated);
      }
      if (!value.startsWith(PREFIX)) {
        throw new ConnectError(`expected authorization header with prefix: ${PREFIX}`, Code.Unauthenticated);
      }
      const token = value.slice(PREFIX.length);
      const claims = signers.map((one) => one.verify(token)).find((found) => found !== undefined);
      if (claims === undefined) throw unauthenticated("not a token that this machine accepts");
      if (!claims.aud.some((audience) => names().includes(audience))) {
        throw unauthenticated("invalid audience");
      }
      if (claims.exp !== undefined && claims.exp * 1000 <= Date.now()) {
        throw unauthenticated("token is expired");
      }
      if (claims.sub === "" || !types.has(claims.rpc_creds_type)) {
        throw unauthenticated("invalid claims");
      }
      context.values.set(callerKey, claims.sub);
    },
  };
}

function unauthenticated(reason: string): ConnectError {
  return new ConnectError(`unauthenticated: ${reason}`, Code.Unauthenticated);
}

/** Compares in a time that is independent of where the two differ. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
