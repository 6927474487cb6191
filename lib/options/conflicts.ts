import type { Address } from "../core/net/address.ts";
import type { DialOptions } from "./dial_options.ts";
import { missingValue, type OptionProblem } from "./problem.ts";

const isHttp = (address: string | undefined) => /^http:/i.test(address ?? "");
const isHttps = (address: string | undefined) => /^https:/i.test(address ?? "");

/**
 * Finds options that exclude each other, or need one that is missing.
 *
 * @param address The machine's, unless it is wrong itself.
 * @param options Those that can be used by themselves.
 * @param wrong What is wrong with the others: an option that was refused is not missing.
 */
export function findConflicts(
  address: Address | undefined,
  options: DialOptions,
  wrong: readonly OptionProblem[],
): OptionProblem[] {
  const { credentials, accessToken, externalAuth, webrtc = {}, tls = {}, insecure } = options;
  const { signalingAddress, signalingInsecure } = webrtc;
  const setsTls = Object.keys(tls).length > 0 && !usesTlsElsewhere(options);
  const authority = `${address?.scheme}://${address?.authority}`;
  const [http, https] = [address?.scheme === "http", address?.scheme === "https"];

  const conflicts: readonly [found: boolean, option: string, problem: string][] = [
    [https && insecure === true, "address", `${authority} asks for TLS, which insecure disables`],
    [http && insecure === false, "address", `${authority} disables TLS, which insecure: false asks for`],
    [http && setsTls, "address", `${authority} disables TLS, so that tls has no effect: remove it`],
    [insecure === true && setsTls && !http, "tls", "has no effect, since insecure disables TLS: remove it"],
    [
      accessToken !== undefined && credentials !== undefined,
      "accessToken",
      "cannot be combined with credentials, which would fetch another token",
    ],
    [
      accessToken !== undefined && externalAuth !== undefined,
      "accessToken",
      "cannot be combined with externalAuth, which would fetch another token",
    ],
    [
      webrtc.forceRelay === true && webrtc.forceP2P === true,
      "webrtc.forceRelay",
      "cannot be combined with webrtc.forceP2P: together they leave no path",
    ],
    [
      webrtc.forceP2P === true && webrtc.turnUri !== undefined,
      "webrtc.turnUri",
      "cannot be combined with webrtc.forceP2P, which uses no TURN server",
    ],
    [
      signalingInsecure === true && isHttps(signalingAddress),
      "webrtc.signalingInsecure",
      "contradicts webrtc.signalingAddress, whose https asks for TLS",
    ],
    [
      signalingInsecure === false && isHttp(signalingAddress),
      "webrtc.signalingInsecure",
      "is false, which contradicts webrtc.signalingAddress: its http disables TLS",
    ],
    [
      externalAuth?.insecure === true && isHttps(externalAuth.address),
      "externalAuth.insecure",
      "contradicts externalAuth.address, whose https asks for TLS",
    ],
    [
      externalAuth?.insecure === false && isHttp(externalAuth.address),
      "externalAuth.insecure",
      "is false, which contradicts externalAuth.address: its http disables TLS",
    ],
  ];
  const missing: readonly [found: boolean, option: string, why: string][] = [
    [
      credentials?.type === "api-key" && options.authEntity === undefined,
      "authEntity",
      "an api-key needs the id of the key",
    ],
    [
      externalAuth !== undefined && credentials === undefined && accessToken === undefined,
      "credentials",
      "externalAuth exchanges them for a token",
    ],
    [tls.cert !== undefined && tls.key === undefined, "tls.key", "it belongs to tls.cert"],
    [tls.key !== undefined && tls.cert === undefined, "tls.cert", "it belongs to tls.key"],
  ];
  return [
    ...missing
      .filter(([found, option]) =>
        found && !wrong.some((other) => `${other.option}.`.startsWith(`${option}.`))
      )
      .map(([, option, why]) => missingValue(option, `: ${why}`)),
    ...conflicts
      .filter(([found]) => found)
      .map(([, option, problem]) => ({ option, value: "set", message: `${option} ${problem}` })),
  ];
}

/** True if a proxy, or a signaling or authentication server, is reached with TLS though the machine is not. */
function usesTlsElsewhere({ webrtc, externalAuth, proxy }: DialOptions): boolean {
  return isHttps(proxy) || webrtc?.signalingInsecure === false || isHttps(webrtc?.signalingAddress) ||
    (externalAuth !== undefined && externalAuth.insecure !== true && !isHttp(externalAuth.address));
}
