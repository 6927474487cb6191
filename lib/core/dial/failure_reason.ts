import { Code, ConnectError } from "@connectrpc/connect";
import { EngineThreadError } from "../ice/engine_thread_error.ts";
import { ExchangeError, PATH_FAILURES } from "../ice/exchange_error.ts";
import { type ConnectionReason, connectionReason } from "../net/connection_error.ts";
import { permissionOf } from "./permission.ts";
import { saysOffline } from "./signaling_status.ts";

/** The reason why a dial, or one attempt of it, failed. */
export type FailureReason =
  | ConnectionReason
  /** The runtime does not permit it. */
  | "permission"
  /** The server refused the credentials, or wants some. */
  | "credentials"
  /** The signaling server knows the machine, and the machine is not connected to it. */
  | "offline"
  /** The two ends found no path to each other, or the relay that it must lead through is missing. */
  | "ice"
  /** The engine serves the main thread alone. */
  | "worker"
  /** A server answered with another status. */
  | "status"
  | "unknown";

/**
 * Finds the reason of an error by its type, its status code and, below those, by what the runtime reported about the
 * connection.
 */
export function failureReason(error: unknown): FailureReason {
  if (error instanceof ExchangeError && PATH_FAILURES.has(error.reason)) return "ice";
  const below = runtimeErrorOf(error);
  if (below instanceof EngineThreadError) return "worker";
  if (permissionOf(below) !== undefined) return "permission";
  const connection = connectionReason(below);
  if (connection !== undefined) return connection;
  if (!(error instanceof ConnectError)) return "unknown";
  if (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied) return "credentials";
  return saysOffline(error) ? "offline" : "status";
}

/** Skips our own errors around the runtime's. A status has no such cause: its text comes from the peer. */
function runtimeErrorOf(error: unknown): unknown {
  let below = error;
  while (below instanceof ConnectError) below = below.cause;
  return below;
}

const LASTING_REASONS: ReadonlySet<FailureReason> = new Set<FailureReason>([
  "permission",
  "worker",
  "credentials",
  "a client certificate is required",
  "certificate not trusted",
  "the server speaks TLS",
  "the URL of the proxy is wrong",
  "no TLS with the proxy",
  "the proxy wants credentials",
  "the proxy refuses",
  "no such proxy there",
  "unknown",
]);

const LASTING_CODES: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
]);

/**
 * True if a failed reconnect may succeed a moment later: the machine restarts, the network is gone, a gateway has
 * nothing behind it. A wrong key, a machine that the signaling server does not know and a certificate do not change. A
 * name that is not found may: it was found before, and without a network some systems find none.
 */
export function mayPass(error: unknown): boolean {
  const reason = failureReason(error);
  if (LASTING_REASONS.has(reason)) return false;
  return reason === "offline" || !(error instanceof ConnectError) || !LASTING_CODES.has(error.code);
}
