import { joinHostPort } from "./address.ts";

/** A server to connect to. */
export interface Target {
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
  readonly secure: boolean;
  readonly unixPath?: string | undefined;
}

/** `host:port`, or the path of a Unix socket. */
export function describeTarget({ unixPath, hostname, port }: Target): string {
  return unixPath ?? joinHostPort(hostname, port);
}

/** `http(s)://host:port`. */
export function urlOf({ unixPath, hostname, port, secure }: Target): string {
  return `${secure ? "https" : "http"}://${
    unixPath === undefined ? joinHostPort(hostname, port) : "localhost"
  }`;
}
