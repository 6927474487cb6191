import type { TlsOptions } from "../options/dial_options.ts";
import { DialOptionsError } from "../options/options_error.ts";
import { wrongValue } from "../options/problem.ts";
import { RUNTIME } from "../runtime/runtime.ts";

/**
 * Checks the client's certificate and private key, if there are any.
 *
 * @throws {DialOptionsError} if they cannot be used
 */
export async function checkClientCertificate({ cert, key }: TlsOptions): Promise<void> {
  if (cert === undefined || key === undefined) return;
  const { keyPairProblem } = await import("../direct/key_pair.ts");
  const found = keyPairProblem(cert, key, RUNTIME);
  if (found === undefined) return;
  throw new DialOptionsError([wrongValue(`tls.${found.member}`, { cert, key }[found.member], found.problem)]);
}
