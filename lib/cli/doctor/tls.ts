import net from "node:net";
import tls from "node:tls";
import { connectionReason } from "../../core/net/connection_error.ts";
import { describeTarget, type Target } from "../../core/net/target.ts";
import type { TlsOptions } from "../../options/dial_options.ts";
import { nodeTlsOptions } from "../../direct/endpoint.ts";
import { probeTls } from "../../direct/tls_probe.ts";
import { messageOf } from "../error_text.ts";
import { judgeCertificate } from "./certificate.ts";
import type { Step } from "./ladder.ts";
import { opened, placeOf, silent } from "./tcp.ts";

/**
 * Makes a TLS handshake and looks at the certificate. Sends nothing over the connection.
 *
 * @param downgrade Whether the dial may continue without TLS.
 */
export async function checkTls(
  target: Target,
  settings: TlsOptions,
  downgrade: boolean,
  signal: AbortSignal,
): Promise<Step<true>> {
  const name = describeTarget(target);
  if (!target.secure) return await checkPlaintext(target, signal);
  const socket = connectTls(target, settings);
  try {
    return await opened(socket, "secureConnect", signal, () => judgeHandshake(socket, target, settings)) ??
      silent(name);
  } catch (error) {
    if (!signal.aborted && await probe(target, signal) === "plaintext") {
      return downgrade
        ? {
          verdict: "note",
          detail: "the server does not speak TLS; continuing without, as allowed",
          result: true,
        }
        : {
          verdict: "failed",
          detail: "the server does not speak TLS",
          problem: `${name} does not speak TLS`,
          advice: "if the network is trusted, pass --insecure",
        };
    }
    if (signal.aborted) return silent(name);
    return {
      verdict: "failed",
      detail: `no TLS handshake: ${messageOf(error)}`,
      problem: `The TLS handshake with ${name} failed (${messageOf(error)})`,
      advice: "check the port, and the TLS versions and certificates that the server accepts",
    };
  }
}

function probe({ hostname, port }: Target, signal: AbortSignal): ReturnType<typeof probeTls> {
  return probeTls({ secure: true, hostname, port }, signal);
}

function judgeHandshake(socket: tls.TLSSocket, target: Target, settings: TlsOptions): Step<true> {
  const certificate = socket.getPeerCertificate();
  const serverName = settings.serverName ?? target.hostname;
  const finding = judgeCertificate(
    {
      error: socket.authorized ? undefined : codeOf(socket.authorizationError),
      isForName: tls.checkServerIdentity(serverName, certificate) === undefined,
      validFrom: certificate.valid_from,
      validTo: certificate.valid_to,
      names: certificate.subjectaltname ?? String(certificate.subject?.CN ?? "nobody"),
      issuer: String(certificate.issuer?.CN ?? certificate.issuer?.O ?? "nobody"),
    },
    describeTarget(target),
    serverName,
    Date.now(),
  );
  if (finding.verdict !== "failed") {
    return { ...finding, detail: `${socket.getProtocol() ?? "TLS"}, ${finding.detail}`, result: true };
  }
  return settings.rejectUnauthorized === false
    ? { verdict: "note", detail: `${finding.detail}; accepted, as asked`, result: true }
    : finding;
}

/** Connects whatever the certificate is: the point is to say what is wrong with it. */
function connectTls(target: Target, settings: TlsOptions): tls.TLSSocket {
  const { servername = target.hostname, ...options } = nodeTlsOptions(settings);
  return tls.connect({
    ...placeOf(target),
    ...options,
    ALPNProtocols: ["h2", "http/1.1"],
    rejectUnauthorized: false,
    ...(net.isIP(servername) === 0 ? { servername } : {}),
  });
}

/** Time for a server to report a missing certificate, in milliseconds. */
const ALERT_TIMEOUT_MS = 1_000;

/**
 * Finds out whether a server requires a client certificate. With TLS 1.3 the server reports it after the handshake (RFC
 * 8446, section 4.4.2.4), and not every runtime's fetch passes that on.
 */
export function wantsClientCertificate(
  target: Target,
  settings: TlsOptions,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls(target, settings);
    const finish = (wanted: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      socket.destroy();
      resolve(wanted);
    };
    const stop = () => finish(false);
    const timer = setTimeout(stop, ALERT_TIMEOUT_MS);
    signal.addEventListener("abort", stop, { once: true });
    socket.on("error", (error) => finish(connectionReason(error) === "a client certificate is required"));
    socket.once("data", stop).once("close", stop);
    // Some runtimes read only after they have written.
    socket.once("secureConnect", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
  });
}

/** Checks that a server that is dialed without TLS does not insist on it. */
async function checkPlaintext(target: Target, signal: AbortSignal): Promise<Step<true>> {
  if (target.unixPath !== undefined) return { verdict: "skipped", detail: "a Unix socket", result: true };
  if (await probe(target, signal).catch(() => "unknown") === "tls") {
    return {
      verdict: "failed",
      detail: "the server speaks TLS, but the dial does not",
      problem: `${describeTarget(target)} speaks TLS`,
      advice: "remove --insecure, or http:// from the address",
    };
  }
  return { verdict: "ok", detail: "without TLS, as asked", result: true };
}

function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" ? code : messageOf(error);
}
