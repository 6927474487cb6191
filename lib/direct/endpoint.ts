import type { ConnectionOptions } from "node:tls";
import type { Target } from "../core/net/target.ts";
import type { TlsOptions } from "../options/dial_options.ts";

/** A server, and how to connect to it. */
export interface Endpoint extends Target {
  /** Uses no earlier connection: it may lead over a network that is gone. */
  readonly fresh?: boolean;
  readonly tls?: TlsOptions;
}

/** The options as `node:tls` takes them. */
export function nodeTlsOptions(
  tls: TlsOptions,
): Pick<ConnectionOptions, "ca" | "cert" | "key" | "servername" | "rejectUnauthorized" | "minVersion"> {
  const { ca, cert, key, serverName, rejectUnauthorized, minVersion = "TLSv1.2" } = tls;
  return {
    minVersion,
    ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : [...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}
