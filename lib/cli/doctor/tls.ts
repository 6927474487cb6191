import tls from "node:tls";
import { connectionReason } from "../../core/net/connection_error.ts";
import { describeTarget, type Target } from "../../core/net/target.ts";
import type { TlsOptions } from "../../options/dial_options.ts";
import { probeTls } from "../../direct/tls_probe.ts";
import { openConnection } from "../../net/connection.ts";
import { abortable } from "../../runtime/abortable.ts";
import { messageOf } from "../error_text.ts";
import { judgeCertificate } from "./certificate.ts";
import { failed, type Finding } from "./ladder.ts";
import { type ProxiedTarget, silent } from "./tcp.ts";

/**
 * Makes a TLS handshake and looks at the certificate. Sends nothing over the connection.
 *
 * @param downgrade True if the dial may continue without TLS.
 */
export async function checkTls(
  target: ProxiedTarget,
  settings: TlsOptions,
  downgrade: boolean,
  signal: AbortSignal,
): Promise<Finding> {
  const name = describeTarget(target);
  if (!target.secure) return await checkPlaintext(target, signal);
  try {
    const socket = await connectTls(target, settings, signal);
    try {
      return judgeHandshake(socket, target, settings);
    } finally {
      socket.destroy();
    }
  } catch (error) {
    if (!signal.aborted && await probeTls(target, signal) === "plaintext") {
      return downgrade
        ? {
          verdict: "note",
          detail: "the server does not speak TLS; continuing without, as allowed",
        }
        : failed("the server does not speak TLS", {
          problem: `${name} does not speak TLS`,
          advice: "if the network is trusted, pass --insecure",
        });
    }
    if (signal.aborted) return silent(name);
    return failed(`no TLS handshake: ${messageOf(error)}`, {
      problem: `The TLS handshake with ${name} failed (${messageOf(error)})`,
      advice: "check the port, and the TLS versions and certificates that the server accepts",
    });
  }
}

function judgeHandshake(socket: tls.TLSSocket, target: Target, settings: TlsOptions): Finding {
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
    return { ...finding, detail: `${socket.getProtocol() ?? "TLS"}, ${finding.detail}` };
  }
  return settings.rejectUnauthorized === false
    ? { verdict: "note", detail: `${finding.detail}; accepted, as asked` }
    : finding;
}

/** Connects whatever the certificate is: the point is to say what is wrong with it. */
async function connectTls(
  target: ProxiedTarget,
  settings: TlsOptions,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  const socket = await openConnection(target, {
    signal,
    tls: { ...settings, rejectUnauthorized: false },
    protocols: ["h2", "http/1.1"],
  });
  return socket as tls.TLSSocket;
}

/** Time for a server to report a missing certificate, in milliseconds. */
const ALERT_TIMEOUT_MS = 1_000;

/**
 * Finds out whether a server requires a client certificate. With TLS 1.3 the server reports it after the handshake (RFC
 * 8446, section 4.4.2.4), and not every runtime's fetch passes that on.
 */
export async function wantsClientCertificate(
  target: ProxiedTarget,
  settings: TlsOptions,
  signal: AbortSignal,
): Promise<boolean> {
  let socket: tls.TLSSocket;
  try {
    socket = await connectTls(target, settings, signal);
  } catch (error) {
    return isWanted(error);
  }
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ALERT_TIMEOUT_MS, false);
  socket.on("error", (error) => resolve(isWanted(error)));
  socket.once("data", () => resolve(false)).once("close", () => resolve(false));
  // Some runtimes read only after they have written.
  socket.write("GET / HTTP/1.1\r\n\r\n");
  try {
    return await abortable(promise, signal).catch(() => false);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

function isWanted(error: unknown): boolean {
  return connectionReason(error) === "a client certificate is required";
}

/** Checks that a server that is dialed without TLS does not insist on it. */
async function checkPlaintext(target: ProxiedTarget, signal: AbortSignal): Promise<Finding> {
  if (target.unixPath !== undefined) return { verdict: "skipped", detail: "a Unix socket" };
  if (await probeTls(target, signal).catch(() => "unknown") === "tls") {
    return failed("the server speaks TLS, but the dial does not", {
      problem: `${describeTarget(target)} speaks TLS`,
      advice: "remove --insecure, or http:// from the address",
    });
  }
  return { verdict: "ok", detail: "without TLS, as asked" };
}

function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" ? code : messageOf(error);
}
