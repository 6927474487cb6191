import type { Link } from "../channel/link.ts";
import { describeTarget, type Target, urlOf } from "../core/net/target.ts";
import type { ResolvedDialOptions } from "../options/resolve.ts";
import { abortable } from "../runtime/abortable.ts";
import type { DialContext } from "./context.ts";
import { authorize, reachServer, tlsOfMachine } from "./server.ts";

/** Makes a direct link: reaches the machine, and gets a token from it (protocol §2.9, step 3). */
export async function connectDirectly(
  target: Target,
  dial: DialContext,
  signal: AbortSignal,
): Promise<Link> {
  const { options, timeline } = dial;
  const { compression } = options;
  const tls = tlsOfMachine(target, options);
  const server = await reachServer(target, tls, dial, signal, { compression, authorizes: true });
  try {
    const authorization = await authorize(server, dial, signal);
    if (authorization === undefined && !mayAuthorize(options) && server.carrier.refusal !== undefined) {
      await timeline.step("authenticate", () => "", () => Promise.reject(server.carrier.refusal));
    }
    let tell = () => {};
    server.carrier.onConnectionLost(() => {
      authorization?.connectionLost();
      tell();
    });
    const { watchComputer } = await abortable(import("./computer.ts"), signal);
    const unwatch = watchComputer(() => server.carrier.connection?.doubt());
    return {
      kind: "direct",
      carrier: server.carrier,
      authorization,
      baseUrl: urlOf(server.target),
      lost: new Promise(() => {}), // a session that is lost is replaced by the next call
      onSessionLost(listener) {
        tell = listener;
      },
      path: () => {
        const { protocol, httpVersion } = server.carrier.description;
        return {
          kind: "direct",
          protocol: `${protocol} over ${httpVersion}`,
          local: undefined,
          remote: describeTarget(server.target),
          roundTripMs: undefined,
        };
      },
      close() {
        unwatch();
        return server.carrier.close();
      },
    };
  } catch (error) {
    await server.carrier.close();
    throw error;
  }
}

/** True if calls may carry a token that the dial knows nothing of. */
function mayAuthorize({ headers, interceptors }: ResolvedDialOptions): boolean {
  return interceptors.length > 0 || headers.some(([name]) => name === "authorization");
}
