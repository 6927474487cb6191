import type { ChosenProxy } from "../core/net/proxy.ts";
import type { Target } from "../core/net/target.ts";
import type { TlsOptions } from "../options/dial_options.ts";

/** A server, and how to connect to it. */
export interface Endpoint extends Target {
  /** Uses no earlier connection: it may lead over a network that is gone. */
  readonly fresh?: boolean;
  readonly tls?: TlsOptions;
  /** The proxy to connect through. */
  readonly proxy?: ChosenProxy | undefined;
}
