import type { ChosenProxy } from "../core/net/proxy.ts";
import type { Target } from "../core/net/target.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { TlsOptions } from "../options/dial_options.ts";

/** A server, and how to connect to it. */
export interface Endpoint extends Target {
  /** Uses no earlier connection: it may lead over a network that is gone. */
  readonly fresh?: boolean;
  readonly tls?: TlsOptions;
  /** The proxy to connect through. */
  readonly proxy?: ChosenProxy | undefined;
  /** True if the runtime's own fetch may find a proxy in the environment, whatever the option says. */
  readonly mayBeProxied?: boolean;
}

/** True if the runtime's fetch cannot be told what to do about proxies, and is not used. */
export function needsSockets({ proxy, secure, mayBeProxied = false }: Endpoint, runtime: Runtime): boolean {
  // Deno's fetch follows the environment even where the program may not read it. To a server without TLS it can be told
  // otherwise; given `transport: "tcp"`, it would speak no TLS.
  return proxy !== undefined || (runtime === "deno" && secure && mayBeProxied);
}
