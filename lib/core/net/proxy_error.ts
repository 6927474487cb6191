import { nameErrors } from "../error_name.ts";
import { describeProxy, type Proxy } from "./proxy.ts";

/** The reason why a proxy cannot be used. */
export type ProxyFailure =
  /** Its URL in the environment is wrong. */
  | "ERR_PROXY_URL"
  /** It cannot be reached, does not answer, or closes the connection. */
  | "ERR_PROXY_UNREACHABLE"
  /** Its certificate is not trusted, or it speaks no TLS. */
  | "ERR_PROXY_TLS"
  /** It wants credentials, or refuses those that it got. */
  | "ERR_PROXY_CREDENTIALS"
  /** It does not let anybody through to the server. */
  | "ERR_PROXY_REFUSED"
  /** It cannot reach the server. */
  | "ERR_PROXY_NO_ROUTE"
  /** Its answer is not in the protocol of such a proxy. */
  | "ERR_PROXY_PROTOCOL";

/** Tells whether a proxy is to blame for an error, and for what. */
export function proxyFailureOf(error: unknown): ProxyFailure | undefined {
  return error instanceof ProxyError ? error.code : undefined;
}

/** A connection that a proxy does not make. Its message names the proxy and its answer, and never its password. */
export class ProxyError extends Error {
  readonly code: ProxyFailure;

  /** @param what A predicate of the proxy: "answered 403". */
  constructor(code: ProxyFailure, proxy: Proxy | string, what: string, cause?: unknown) {
    const name = typeof proxy === "string" ? proxy : `the proxy ${describeProxy(proxy)}`;
    super(`${name} ${what}`, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

nameErrors({ ProxyError });
