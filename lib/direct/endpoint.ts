import type { ConnectionOptions } from "node:tls";
import { isConnectionHeader } from "../core/grpc/connection_headers.ts";
import { joinHostPort } from "../core/net/address.ts";

/** Whether a carrier sends metadata of this name; it writes the others itself. */
export function isSendable(name: string): boolean {
  return !isConnectionHeader(name) && name !== "grpc-encoding" && name !== "grpc-timeout";
}

/** TLS settings of a connection. */
export interface TlsSettings {
  readonly ca?: string | readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** Asked for and verified instead of the host's name. */
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
}

/** A server to connect to. */
export interface Endpoint {
  /** Uses no connection of before: it may lead over a network that is gone. */
  readonly fresh?: boolean;
  readonly secure: boolean;
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
  readonly unixPath?: string;
  readonly tls?: TlsSettings;
}

/** `host:port`, or the path of a Unix socket. */
export function targetOf(endpoint: Endpoint): string {
  return endpoint.unixPath ?? joinHostPort(endpoint.hostname, endpoint.port);
}

/** `http(s)://host:port`. */
export function originOf(endpoint: Endpoint): string {
  const host = endpoint.unixPath === undefined ? joinHostPort(endpoint.hostname, endpoint.port) : "localhost";
  return `${endpoint.secure ? "https" : "http"}://${host}`;
}

/** The settings as `node:tls` has them. */
export function nodeTlsOptions(
  tls: TlsSettings,
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
