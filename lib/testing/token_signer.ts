import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";

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
  sign(claims: TokenClaims): Promise<string>;
  /** Returns the claims of a token that this signer has signed and not revoked; undefined for any other. */
  verify(token: string): Promise<TokenClaims | undefined>;
  /** Invalidates every token so far. */
  revoke(): void;
}

interface SigningKey {
  readonly pair: CryptoKeyPair;
  /** The public key, base64url: the `kid` that goutils gives an Ed25519 key. */
  readonly id: string;
}

/** Makes a signer, whose key is made when it is first needed. */
export function createTokenSigner(): TokenSigner {
  let key: Promise<SigningKey> | undefined;
  const currentKey = () => key ??= makeKey();
  return {
    async sign(claims) {
      const { pair, id } = await currentKey();
      const signed = `${encodeJson({ alg: "EdDSA", kid: id, typ: "JWT" })}.${encodeJson(claims)}`;
      const signature = await crypto.subtle.sign(
        "Ed25519",
        pair.privateKey,
        new TextEncoder().encode(signed),
      );
      return `${signed}.${base64Encode(new Uint8Array(signature), "url")}`;
    },
    async verify(token) {
      const [header, claims, signature, ...rest] = token.split(".");
      if (header === undefined || claims === undefined || signature === undefined || rest.length > 0) return;
      const { pair, id } = await currentKey();
      try {
        const { alg, kid } = decodeJson(header) as { alg?: unknown; kid?: unknown };
        if (alg !== "EdDSA" || kid !== id) return;
        const signed = new TextEncoder().encode(`${header}.${claims}`);
        const genuine = await crypto.subtle.verify(
          "Ed25519",
          pair.publicKey,
          base64Decode(signature),
          signed,
        );
        return genuine ? decodeJson(claims) as TokenClaims : undefined;
      } catch {
        return undefined; // not base64, or not JSON
      }
    },
    revoke() {
      key = undefined;
    },
  };
}

async function makeKey(): Promise<SigningKey> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
  const bytes = await crypto.subtle.exportKey("raw", pair.publicKey);
  return { pair, id: base64Encode(new Uint8Array(bytes), "url") };
}

function encodeJson(value: unknown): string {
  return base64Encode(new TextEncoder().encode(JSON.stringify(value)), "url");
}

function decodeJson(text: string): unknown {
  return JSON.parse(new TextDecoder().decode(base64Decode(text)));
}
