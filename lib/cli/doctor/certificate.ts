import { failed, type Finding } from "./ladder.ts";

/** The certificate of a server, as a TLS handshake shows it. */
export interface SeenCertificate {
  /** The reason why it is not accepted; undefined if it is. */
  readonly error: string | undefined;
  /** True if it is for the requested name. */
  readonly isForName: boolean;
  /** As `tls` writes it. */
  readonly validFrom: string;
  readonly validTo: string;
  /** As `tls` writes them: `DNS:a, IP Address:b`. */
  readonly names: string;
  readonly issuer: string;
}

/**
 * Judges a certificate. Its dates come first: a runtime may say of an expired one only that it cannot be verified.
 *
 * @param target `host:port`.
 * @param name The name that it has to be for.
 * @param now Milliseconds since 1970.
 */
export function judgeCertificate(seen: SeenCertificate, target: string, name: string, now: number): Finding {
  const from = Date.parse(seen.validFrom);
  const to = Date.parse(seen.validTo);
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const faulty = (fault: string, advice: string) =>
    failed(`the certificate ${fault}`, { problem: `The certificate of ${target} ${fault}`, advice });
  if (seen.error === undefined) {
    return { verdict: "ok", detail: `certificate by ${seen.issuer}, valid until ${day(to)}` };
  }
  if (now > to) return faulty(`expired on ${day(to)}`, "renew it, or set this computer's clock right");
  if (now < from) {
    return faulty(`is not valid before ${day(from)}`, "set this computer's clock right, or the server's");
  }
  if (!seen.isForName) {
    const names = seen.names.replace(/(?:DNS|IP Address):/g, "");
    return faulty(`is for ${names}, not for ${name}`, "dial it by that name, or pass that as --server-name");
  }
  const untrusted = faulty(
    `is signed by ${seen.issuer}, which this computer does not trust`,
    "if you know that authority, pass its certificate as --ca",
  );
  return { ...untrusted, detail: `${untrusted.detail} (${seen.error})` };
}
