import {
  CGI_VARIABLE,
  chooseProxy,
  type ChosenProxy,
  namesProxy,
  PROXY_VARIABLES,
} from "../core/net/proxy.ts";
import type { Target } from "../core/net/target.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import { readEnvironment } from "../runtime/environment.ts";

/** The proxies of a dial. */
export interface Proxies {
  /** The proxy for a connection over TCP; undefined for none. */
  choose(target: Target): ChosenProxy | undefined;
  /** True if a runtime that follows the environment by itself may find a proxy there. */
  readonly mayBeInEnvironment: boolean;
}

/** Reads the environment, which a runtime's fetch may follow whatever the option says. */
export function findProxies({ proxy: setting, tls }: Pick<ResolvedDialOptions, "proxy" | "tls">): Proxies {
  const { variables: named, isKnown } = readEnvironment(PROXY_VARIABLES);
  const variables = { ...named, ...readEnvironment([CGI_VARIABLE]).variables };
  const ca = [tls.ca ?? []].flat();
  return {
    choose(target) {
      const chosen = chooseProxy(target, setting, variables);
      return chosen === undefined || "problem" in chosen.proxy
        ? chosen
        : { ...chosen, proxy: { ...chosen.proxy, ca } };
    },
    mayBeInEnvironment: !isKnown || namesProxy(variables),
  };
}

/** For a machine that was found on the local network, which a proxy knows nothing of. */
export function withoutProxies(proxies: Proxies): Proxies {
  return { ...proxies, choose: () => undefined };
}
