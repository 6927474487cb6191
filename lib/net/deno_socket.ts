import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { abortable } from "../runtime/abortable.ts";

/** A connection of Deno's own. */
interface DenoConnection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  close(): void;
  ref(): void;
  unref(): void;
  setNoDelay(on?: boolean): void;
}

type Connect = (place: { hostname: string; port: number }) => Promise<DenoConnection>;

/**
 * Connects by `Deno.connect`, which takes an address with a zone, such as `fe80::1%eth0`: Deno's `node:net` loses the
 * zone, and fails with `EINVAL`.
 */
export async function connectByDeno(hostname: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { Deno: { connect } } = globalThis as unknown as { Deno: { readonly connect: Connect } };
  const connecting = connect({ hostname, port });
  const connection = await abortable(connecting, signal).catch((error) => {
    connecting.then((late) => late.close(), () => {});
    throw error;
  });
  const socket = Duplex.fromWeb(connection as never);
  return Object.assign(socket, {
    ref: () => (connection.ref(), socket),
    unref: () => (connection.unref(), socket),
    setNoDelay: (on?: boolean) => (connection.setNoDelay(on), socket),
  }) as unknown as Socket;
}
