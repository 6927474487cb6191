import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Runtime } from "../runtime/runtime.ts";

/** The reason why a certificate and a private key cannot be used. */
export interface KeyPairProblem {
  /** The one to blame. */
  readonly member: "cert" | "key";
  /** A predicate: "must be …". */
  readonly problem: string;
}

/**
 * Checks a certificate and its private key, both PEM. The runtimes report a wrong one after the connection is made, or
 * as a fault of the server or the URL.
 */
export function keyPairProblem(cert: string, key: string, runtime: Runtime): KeyPairProblem | undefined {
  const certificate = attempt(() => new X509Certificate(cert));
  if (certificate === undefined) return { member: "cert", problem: "must be a certificate in PEM" };
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(key)) {
    return { member: "key", problem: "must not be encrypted: decrypt it with `openssl pkey`" };
  }
  const privateKey = attempt(() => createPrivateKey(key));
  if (privateKey === undefined) return { member: "key", problem: "must be a private key in PEM" };
  if (!certificate.checkPrivateKey(privateKey)) {
    return { member: "key", problem: "must be the private key of the certificate" };
  }
  if (runtime === "deno" && !hasVersion(certificate.raw)) {
    return { member: "cert", problem: "must be an X.509 certificate of version 3: Deno refuses version 1" };
  }
  return undefined;
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined; // the error may quote the key
  }
}

/** Finds the field `version`, which certificates of version 1 lack (RFC 5280, section 4.1): `SEQUENCE { SEQUENCE { [0]`. */
function hasVersion(der: Uint8Array): boolean {
  let at = 0;
  for (let depth = 0; depth < 2; depth++) {
    const length = der[at + 1]!;
    at += 2 + (length & 0x80 ? length & 0x7f : 0);
  }
  return der[at] === 0xa0;
}
