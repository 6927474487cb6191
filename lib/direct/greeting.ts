import { Code, ConnectError } from "@connectrpc/connect";
import { isContentType } from "../core/grpc/grpc_status.ts";
import { Metadata } from "../core/grpc/metadata.ts";
import { type ConnectionReason, connectionReason, isProxyFailure } from "../core/net/connection_error.ts";
import type { Call, CallEnd, Carrier } from "../rpc/carrier.ts";

/** A server's answer to a greeting. */
export interface Greeting {
  /** True if it speaks the protocol. */
  readonly speaks: boolean;
  /** Nothing answered at all. */
  readonly unreachable: boolean;
  readonly error: ConnectError;
  /** The error again, if the server wants a token. */
  readonly refusal: ConnectError | undefined;
}

const UNKNOWN_METHOD = "/viam_dial.v1.Hello/Ask";

/** Makes one call on a carrier, whose end shows what the server speaks. */
export type Question = (carrier: Carrier) => Promise<unknown>;

/** Asks a server whether it speaks a protocol: by the question, or else by a harmless request. */
export function greet(
  carrier: Carrier,
  protocol: "grpc" | "grpc-web",
  signal: AbortSignal,
  question: Question = askNothing,
): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const calls = new Set<Call>();
    const abort = () => {
      for (const call of calls) call.reset();
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    const observed: Carrier = {
      open(request, listener) {
        let type: string | null = null;
        const call = carrier.open(request, {
          headers(read) {
            type = read().get("content-type");
            listener.headers(read);
          },
          message: (bytes) => listener.message(bytes),
          end(end) {
            calls.delete(call);
            signal.removeEventListener("abort", abort);
            resolve(judge(end, protocol, type));
            listener.end(end);
          },
        });
        calls.add(call);
        return call;
      },
      close: () => carrier.close(),
    };
    // It may fail before it opens a call.
    question(observed).catch(reject);
  });
}

/** Calls a nonexistent method: a server that answers shows what it speaks, and does nothing. */
function askNothing(carrier: Carrier): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const call = carrier.open(
    { path: UNKNOWN_METHOD, kind: "unary", metadata: new Metadata(), timeoutMs: undefined },
    { headers() {}, message() {}, end: () => resolve() },
  );
  call.send(new Uint8Array(0), true);
  return promise;
}

function judge({ error }: CallEnd, protocol: "grpc" | "grpc-web", answered: string | null): Greeting {
  if (error === undefined) {
    const none = new ConnectError("the server speaks the protocol", Code.Unknown);
    return { speaks: true, unreachable: false, error: none, refusal: undefined };
  }
  // A status in the protocol says that the server speaks it, unless the content type is of another one.
  const type = error.metadata.get("content-type");
  const reason = error.cause === undefined ? undefined : connectionReason(error.cause);
  const unreachable = reason !== undefined && (UNREACHABLE.has(reason) || isProxyFailure(error.cause));
  return {
    // nginx drops the status of an error that comes without a message; the content type says enough.
    speaks: isContentType(answered, protocol) ||
      (error.isWireError && (type === null || isContentType(type, protocol))),
    unreachable,
    error,
    refusal: error.isWireError && error.code === Code.Unauthenticated ? error : undefined,
  };
}

/** Reasons that another protocol on the same port would fail for, too. */
const UNREACHABLE: ReadonlySet<ConnectionReason> = new Set([
  "connection refused",
  "name not found",
  "no route to host",
  "timed out",
  "certificate not trusted",
]);
