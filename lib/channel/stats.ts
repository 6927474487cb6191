import type { TrafficCounts } from "../core/grpc/traffic_counts.ts";

/** What an engine knows of its connection now. */
export interface WireStats {
  /** On the wire of this connection, in bytes, as far as the engine counts them. */
  readonly bytesSent: number;
  /** On the wire of this connection, in bytes, as far as the engine counts them. */
  readonly bytesReceived: number;
  /** Waiting to be sent, in bytes. */
  readonly bufferedBytes: number;
  /** Round-trip time in milliseconds, where the engine knows it. */
  readonly roundTripMs: number | undefined;
}

/** What a channel has carried since it was dialed, reconnects included; and how its connection is now. */
export interface ChannelStats {
  /** Calls by how they went; a call that was cancelled or ran out of time has failed. */
  readonly calls: {
    readonly started: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly open: number;
  };
  /** Request and response messages of all calls. */
  readonly messages: { readonly sent: number; readonly received: number };
  /** Their serialized size, in bytes; what a protocol puts around them is not counted. */
  readonly bytes: { readonly sent: number; readonly received: number };
  /** Connections after the first one. */
  readonly reconnects: number;
  /** The data channel's connection; undefined for a direct channel, whose sockets are the runtime's. */
  readonly connection: WireStats | undefined;
}

/** Puts the statistics of a channel together. */
export function channelStats(
  counts: TrafficCounts,
  reconnects: number,
  connection: WireStats | undefined,
): ChannelStats {
  const { started, succeeded, failed } = counts;
  return {
    calls: { started, succeeded, failed, open: started - succeeded - failed },
    messages: { sent: counts.messagesSent, received: counts.messagesReceived },
    bytes: { sent: counts.bytesSent, received: counts.bytesReceived },
    reconnects,
    connection,
  };
}
