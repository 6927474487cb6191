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

/** `host:port` as a URL has it: without a zone, which means something on this computer alone. */
export function authorityOf({ hostname, port }: Target): string {
  return joinHostPort(hostname.replace(/%.*$/, ""), port);
}

/** `http(s)://host:port`. */
export function urlOf(target: Target): string {
  const authority = target.unixPath === undefined ? authorityOf(target) : "localhost";
  return `${target.secure ? "https" : "http"}://${authority}`;
}
