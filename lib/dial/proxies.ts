import { CGI_VARIABLE, chooseProxy, type ChosenProxy, PROXY_VARIABLES } from "../core/net/proxy.ts";
import type { Target } from "../core/net/target.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import { readEnvironment } from "../runtime/environment.ts";

/** The proxies of a dial. */
export interface Proxies {
  /** The proxy for a connection over TCP; undefined for none. */
  choose(target: Target): ChosenProxy | undefined;
}

/** Reads the environment. */
export function findProxies({ proxy: setting, tls }: Pick<ResolvedDialOptions, "proxy" | "tls">): Proxies {
  const variables = readEnvironment([...PROXY_VARIABLES, CGI_VARIABLE]);
  const ca = [tls.ca ?? []].flat();
  return {
    choose(target) {
      const chosen = chooseProxy(target, setting, variables);
      return chosen === undefined || "problem" in chosen.proxy
        ? chosen
        : { ...chosen, proxy: { ...chosen.proxy, ca } };
    },
  };
}

/** For a machine that was found on the local network, which a proxy knows nothing of. */
export function withoutProxies(proxies: Proxies): Proxies {
  return { ...proxies, choose: () => undefined };
}
