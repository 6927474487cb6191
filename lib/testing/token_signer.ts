import { Buffer } from "node:buffer";
import { generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";

/** The claims of a token (protocol §5.6). */
export interface TokenClaims {
  /** The entity that authenticated. */
  readonly sub: string;
  /** The entities that the token is for. */
  readonly aud: readonly string[];
  readonly iss: string;
  /** Seconds since 1970. */
  readonly iat: number;
  readonly jti: string;
  /** The type of the credentials that were given. */
  readonly rpc_creds_type: string;
  /** Seconds since 1970; Viam's own tokens have none. */
  readonly exp?: number;
}

/** Signs JSON Web Tokens with its own Ed25519 key, and verifies them. */
export interface TokenSigner {
  sign(claims: TokenClaims): string;
  /** Returns the claims of a token that this signer has signed and not revoked; undefined for any other. */
  verify(token: string): TokenClaims | undefined;
  /** Invalidates every token so far. */
  revoke(): void;
}

/** Makes a signer, whose key is made when it is first needed. */
export function createTokenSigner(): TokenSigner {
  let pair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;
  const currentPair = () => pair ??= generateKeyPairSync("ed25519");
  return {
    sign(claims) {
      const { publicKey, privateKey } = currentPair();
      const signed = `${encode({ alg: "EdDSA", kid: idOf(publicKey), typ: "JWT" })}.${encode(claims)}`;
      return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}`;
    },
    verify(token) {
      const [header, claims, signature, ...rest] = token.split(".");
      if (header === undefined || claims === undefined || signature === undefined || rest.length > 0) return;
      const { publicKey } = currentPair();
      try {
        const { alg, kid } = decode(header) as { alg?: unknown; kid?: unknown };
        if (alg !== "EdDSA" || kid !== idOf(publicKey)) return;
        const signed = Buffer.from(`${header}.${claims}`);
        const isGenuine = verify(null, signed, publicKey, Buffer.from(signature, "base64url"));
        return isGenuine ? decode(claims) as TokenClaims : undefined;
      } catch {
        return undefined; // not JSON
      }
    },
    revoke() {
      pair = undefined;
    },
  };
}

/** The public key, base64url: the `kid` that goutils gives an Ed25519 key. */
function idOf(publicKey: KeyObject): string {
  return publicKey.export({ format: "jwk" }).x!;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decode(text: string): unknown {
  return JSON.parse(Buffer.from(text, "base64url").toString());
}
