import { CGI_VARIABLE, chooseProxy, type ChosenProxy, PROXY_VARIABLES } from "../core/net/proxy.ts";
import type { Target } from "../core/net/target.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import { readEnvironment } from "../runtime/environment.ts";

/** Finds the proxy for a connection over TCP; undefined for none. */
export type ProxyFor = (target: Target) => ChosenProxy | undefined;

/** Reads the environment, and says which proxy each connection of a dial takes. */
export function findProxies({ proxy: setting, tls }: Pick<ResolvedDialOptions, "proxy" | "tls">): ProxyFor {
  const variables = readEnvironment([...PROXY_VARIABLES, CGI_VARIABLE]);
  const ca = [tls.ca ?? []].flat();
  return (target) => {
    const chosen = chooseProxy(target, setting, variables);
    return chosen === undefined || "problem" in chosen.proxy
      ? chosen
      : { ...chosen, proxy: { ...chosen.proxy, ca } };
  };
}
