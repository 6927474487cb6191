import type { Finding } from "./ladder.ts";

/** What a TLS handshake shows of the server's certificate. */
export interface SeenCertificate {
  /** Undefined when it is trusted, and for the name. */
  readonly error: string | undefined;
  /** As `tls` writes it. */
  readonly validFrom: string;
  readonly validTo: string;
  /** As `tls` writes them: `DNS:a, IP Address:b`. */
  readonly names: string;
  readonly issuer: string;
}

/**
 * Judges a certificate. Its dates come first: a runtime that finds one expired may only say that it cannot be
 * verified.
 *
 * @param target `host:port`.
 * @param name The name that it has to be for.
 * @param now Milliseconds since 1970.
 */
export function judgeCertificate(seen: SeenCertificate, target: string, name: string, now: number): Finding {
  const from = Date.parse(seen.validFrom);
  const to = Date.parse(seen.validTo);
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  if (seen.error === undefined) {
    return { verdict: "ok", detail: `certificate by ${seen.issuer}, good until ${day(to)}` };
  }
  if (now > to) {
    return {
      verdict: "failed",
      detail: `the certificate has expired on ${day(to)}`,
      advice: "renew it on the server, or set this computer's clock right",
      sentence: `The certificate of ${target} has expired on ${
        day(to)
      }; renew it, or set this computer's clock right.`,
    };
  }
  if (now < from) {
    return {
      verdict: "failed",
      detail: `the certificate is not valid before ${day(from)}`,
      advice: "set this computer's clock right, or the server's",
      sentence: `The certificate of ${target} is not valid before ${
        day(from)
      }; set this computer's clock right.`,
    };
  }
  if (/ALTNAME|Hostname/.test(seen.error)) {
    const names = seen.names.replace(/(?:DNS|IP Address):/g, "");
    return {
      verdict: "failed",
      detail: `the certificate is for ${names}`,
      advice: "dial it by such a name, or give that as --server-name",
      sentence:
        `The certificate of ${target} is for ${names} and not for ${name}; dial it by that name, or give --server-name.`,
    };
  }
  return {
    verdict: "failed",
    detail: `the certificate is not trusted: signed by ${seen.issuer} (${seen.error})`,
    advice: "if you know that authority, give its certificate as --ca",
    sentence:
      `The certificate of ${target} is signed by ${seen.issuer}, which this computer does not trust; if you know it, give its certificate as --ca.`,
  };
}
