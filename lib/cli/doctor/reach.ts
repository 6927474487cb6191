import { lookup } from "node:dns/promises";
import https from "node:https";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { connectionReason } from "../../core/net/connection_error.ts";
import { describeTarget, type Target } from "../../core/dial/plan.ts";
import type { TlsSettings } from "../../direct/endpoint.ts";
import { abortable } from "../../runtime/abortable.ts";
import { probeTls } from "../../direct/tls_probe.ts";
import { judgeCertificate } from "./certificate.ts";
import type { Step } from "./ladder.ts";

/*
 * What lies under gRPC: name, TCP, TLS, and the time that the server has.
 */

/** Finds the addresses of a name. */
export async function resolveName(hostname: string, signal: AbortSignal): Promise<Step<readonly string[]>> {
  if (net.isIP(hostname) !== 0) return { verdict: "ok", detail: "is an address", result: [hostname] };
  try {
    const found = await abortable(lookup(hostname, { all: true }), signal);
    const addresses = found.map(({ address }) => address);
    if (addresses.length > 0) return { verdict: "ok", detail: addresses.join(", "), result: addresses };
  } catch {
    // As if there were no address.
  }
  return {
    verdict: "failed",
    detail: `${hostname} has no address`,
    advice: "check its spelling, and that this computer has a network and a name server",
    sentence: `The name ${hostname} cannot be resolved; check its spelling, and this computer's network.`,
  };
}

/** Opens a TCP connection, or one to a Unix socket, and closes it. */
export async function connectTcp(target: Target, signal: AbortSignal): Promise<Step<true>> {
  const name = describeTarget(target);
  try {
    await opened(net.connect(placeOf(target)), "connect", signal);
    return { verdict: "ok", detail: `${name} accepts connections`, result: true };
  } catch (error) {
    if (signal.aborted) {
      return {
        verdict: "failed",
        detail: `${name} does not answer`,
        advice: "check that the host is up, and that no firewall is in between",
        sentence: `${name} does not answer; check that the host is up, and that no firewall is in between.`,
      };
    }
    const reason = connectionReason(error) ?? messageOf(error);
    if (reason === "connection refused") {
      return {
        verdict: "failed",
        detail: `nothing listens on ${name}`,
        advice: "check the port, and that the machine runs",
        sentence: `Nothing listens on ${name}; check the port, and that the machine runs.`,
      };
    }
    return {
      verdict: "failed",
      detail: `${name}: ${reason}`,
      advice: "check this computer's network, and that the machine is on it",
      sentence:
        `${name} cannot be reached (${reason}); check this computer's network, and that the machine is on it.`,
    };
  }
}

/** How a connection may go on. */
export interface TlsAllowance {
  /** Without TLS when the server has none. */
  readonly downgrade: boolean;
}

/** Makes a TLS handshake, and looks at the certificate. Nothing is sent over it. */
export async function checkTls(
  target: Target,
  settings: TlsSettings,
  allowed: TlsAllowance,
  signal: AbortSignal,
): Promise<Step<true>> {
  const name = describeTarget(target);
  if (!target.secure) return await checkPlaintext(target, signal);
  const serverName = settings.serverName ?? target.hostname;
  const socket = connectTls(target, settings);
  try {
    return await opened(socket, "secureConnect", signal, () => {
      const certificate = socket.getPeerCertificate();
      const finding = judgeCertificate(
        {
          error: socket.authorized ? undefined : errorName(socket.authorizationError),
          validFrom: certificate.valid_from,
          validTo: certificate.valid_to,
          names: certificate.subjectaltname ?? String(certificate.subject?.CN ?? "nobody"),
          issuer: String(certificate.issuer?.CN ?? certificate.issuer?.O ?? "nobody"),
        },
        name,
        serverName,
        Date.now(),
      );
      if (finding.verdict === "failed" && settings.rejectUnauthorized === false) {
        return { verdict: "note", detail: `${finding.detail}; it is accepted, as asked`, result: true };
      }
      if (finding.verdict === "failed") return finding;
      return { ...finding, detail: `${socket.getProtocol() ?? "TLS"}, ${finding.detail}`, result: true };
    });
  } catch (error) {
    const spoken = signal.aborted ? "unknown" : await probeTls(endpointOf(target), signal);
    if (spoken === "plaintext") {
      if (allowed.downgrade) {
        return {
          verdict: "note",
          detail: "the server speaks no TLS; going on without, as allowed",
          result: true,
        };
      }
      return {
        verdict: "failed",
        detail: "the server speaks no TLS",
        advice: "if the network is trusted, dial it with --insecure",
        sentence: `${name} speaks no TLS; if the network is trusted, dial it with --insecure.`,
      };
    }
    if (signal.aborted) return silent(name);
    return {
      verdict: "failed",
      detail: `no TLS handshake: ${messageOf(error)}`,
      advice: "check the port, and what TLS the server wants",
      sentence: `No TLS handshake with ${name} (${
        messageOf(error)
      }); check the port, and what TLS the server wants.`,
    };
  }
}

function connectTls(target: Target, settings: TlsSettings): tls.TLSSocket {
  const serverName = settings.serverName ?? target.hostname;
  return tls.connect({
    ...placeOf(target),
    ALPNProtocols: ["h2", "http/1.1"],
    // What is wrong with the certificate is to be told, which takes a handshake that does not stop at it.
    rejectUnauthorized: false,
    ...(settings.ca === undefined ? {} : { ca: asList(settings.ca) }),
    ...(settings.cert === undefined ? {} : { cert: settings.cert }),
    ...(settings.key === undefined ? {} : { key: settings.key }),
    ...(settings.minVersion === undefined ? {} : { minVersion: settings.minVersion }),
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
  });
}

/** How long a server may take to say what it misses, in milliseconds. */
const ALERT_TIMEOUT_MS = 1_000;

/**
 * Whether a server wants a client's certificate. With TLS 1.3 it says so after the handshake (RFC 8446, section
 * 4.4.2.4), and not every runtime's fetch passes that on.
 */
export function wantsClientCertificate(
  target: Target,
  settings: TlsSettings,
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
    socket.on(
      "error",
      (error) => finish(connectionReason(error) === "a client certificate is required"),
    );
    socket.once("data", stop).once("close", stop);
    // Some runtimes read only after they have written.
    socket.once("secureConnect", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
  });
}

/** A server that was to be dialed without TLS must not insist on it. */
async function checkPlaintext(target: Target, signal: AbortSignal): Promise<Step<true>> {
  if (target.unixPath !== undefined) return { verdict: "skipped", detail: "a Unix socket", result: true };
  const name = describeTarget(target);
  if (await probeTls(endpointOf(target), signal).catch(() => "unknown") === "tls") {
    return {
      verdict: "failed",
      detail: "the server speaks TLS, and it is to be dialed without",
      advice: "leave out --insecure",
      sentence: `${name} speaks TLS; leave out --insecure, or http:// in the address.`,
    };
  }
  return { verdict: "ok", detail: "without TLS, as asked", result: true };
}

/** What a server is that takes connections and leaves it at that. */
export function silent(name: string): Step<never> {
  return {
    verdict: "failed",
    detail: `${name} accepts connections and says nothing`,
    advice: "check the port; if it is right, start the machine anew",
    sentence:
      `${name} accepts connections and says nothing; check the port, and if it is right, start the machine anew.`,
  };
}

/** Most seconds that two clocks may differ before it is worth a word: tokens and certificates allow for minutes. */
const MAX_SKEW_S = 60;

/** Compares clocks by the server's Date header, which has whole seconds. */
export function judgeClock(dateHeader: string | undefined, sent: number, received: number): Step<true> {
  const theirs = Date.parse(dateHeader ?? "");
  if (Number.isNaN(theirs)) {
    return { verdict: "skipped", detail: "the server does not tell its time", result: true };
  }
  const skew = Math.round((theirs + 500 - (sent + received) / 2) / 1000);
  if (Math.abs(skew) <= MAX_SKEW_S) {
    return { verdict: "ok", detail: "this computer's clock and the server's agree", result: true };
  }
  return {
    verdict: "note",
    detail: `the server's clock is ${Math.abs(skew)} s ${skew > 0 ? "ahead of" : "behind"} this computer's`,
    advice: "set them right: tokens and certificates depend on it",
    result: true,
  };
}

/** Asks the server for its time. */
export async function checkClock(
  target: Target,
  settings: TlsSettings,
  signal: AbortSignal,
): Promise<Step<true>> {
  if (target.unixPath !== undefined) return { verdict: "skipped", detail: "a Unix socket", result: true };
  const { ca, cert, key, serverName, rejectUnauthorized } = settings;
  const sent = Date.now();
  const date = await new Promise<string | undefined>((resolve) => {
    const options = {
      host: target.hostname,
      port: target.port,
      path: "/",
      agent: false as const,
      ...(ca === undefined ? {} : { ca: asList(ca) }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    };
    const request = target.secure ? https.request(options) : http.request(options);
    const finish = (value: string | undefined) => {
      signal.removeEventListener("abort", abort);
      request.destroy();
      resolve(value);
    };
    const abort = () => finish(undefined);
    signal.addEventListener("abort", abort, { once: true });
    // Who speaks HTTP/2 alone breaks off here, and is not asked.
    request.on("error", () => finish(undefined));
    request.on("response", ({ headers }) => finish(headers.date));
    request.end();
  });
  return judgeClock(date, sent, Date.now());
}

/** Resolves when a socket is open; closes it then. */
function opened(socket: net.Socket, event: string, signal: AbortSignal): Promise<void>;
function opened<T>(socket: net.Socket, event: string, signal: AbortSignal, look: () => T): Promise<T>;
function opened<T>(
  socket: net.Socket,
  event: string,
  signal: AbortSignal,
  look?: () => T,
): Promise<T | void> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      signal.removeEventListener("abort", abort);
      act();
      socket.destroy();
    };
    const abort = () => finish(() => reject(signal.reason));
    socket.on("error", (error) => finish(() => reject(error)));
    socket.on("close", () => finish(() => reject(new Error("the connection was closed"))));
    socket.once(event, () =>
      finish(() => {
        try {
          resolve(look?.());
        } catch (error) {
          reject(error);
        }
      }));
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

function placeOf(target: Target): { path: string } | { host: string; port: number } {
  return target.unixPath === undefined
    ? { host: target.hostname, port: target.port }
    : { path: target.unixPath };
}

function endpointOf({ hostname, port, unixPath }: Target): Parameters<typeof probeTls>[0] {
  return { secure: true, hostname, port, ...(unixPath === undefined ? {} : { unixPath }) };
}

function asList(pem: string | readonly string[]): string[] {
  return typeof pem === "string" ? [pem] : [...pem];
}

function errorName(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : error.message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
