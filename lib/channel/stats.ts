import type { TrafficCounts } from "../core/grpc/traffic_counts.ts";

/** The current statistics of an engine for its connection. */
export interface WireStats {
  /** On the wire of this connection, in bytes, as far as the engine counts them. */
  readonly bytesSent: number;
  /** On the wire of this connection, in bytes, as far as the engine counts them. */
  readonly bytesReceived: number;
  /** Waiting to be sent, in bytes. */
  readonly bufferedBytes: number;
  /** Round-trip time in milliseconds, where the engine knows it. */
  readonly roundTripMs: number | undefined;
  /** The bulk data that this side has sent lately. */
  readonly sending: SendingStats;
}

/**
 * Bulk data as its sender sees it. It asks the machine small questions between the frames, only while there is bulk
 * data to send, and sends no more at once than keeps their answers coming fast.
 */
export interface SendingStats {
  /** The most that may be on its way at once, in bytes. */
  readonly windowBytes: number;
  /** Delivered a second, in bytes; undefined until there was bulk data. */
  readonly bytesPerSecond: number | undefined;
  /** Time from a question to its answer on the idle path, in milliseconds; undefined until there was bulk data. */
  readonly roundTripMs: number | undefined;
  /** Time that a small call waits beyond that, in milliseconds; undefined until there was bulk data. */
  readonly queueMs: number | undefined;
}

/** The traffic of a channel since it was dialed, reconnects included, and the current state of its connection. */
export interface ChannelStats {
  /** Calls by outcome; a call that was cancelled or ran out of time has failed. */
  readonly calls: {
    readonly started: number;
    readonly succeeded: number;
    readonly failed: number;
    readonly open: number;
  };
  /** Request and response messages of all calls. */
  readonly messages: { readonly sent: number; readonly received: number };
  /** Their serialized size, in bytes, without the framing of the protocol. */
  readonly bytes: { readonly sent: number; readonly received: number };
  /** Connections after the first one. */
  readonly reconnects: number;
  /** The data channel's connection; undefined for a direct channel, whose sockets are the runtime's. */
  readonly connection: WireStats | undefined;
  /** A second one, which bulk data has to itself so that small calls do not wait; undefined while there is none. */
  readonly bulkConnection: WireStats | undefined;
}

/** Combines the statistics of a channel. */
export function channelStats(
  counts: TrafficCounts,
  reconnects: number,
  connection: WireStats | undefined,
  bulkConnection?: WireStats,
): ChannelStats {
  const { started, succeeded, failed } = counts;
  return {
    calls: { started, succeeded, failed, open: started - succeeded - failed },
    messages: { sent: counts.messagesSent, received: counts.messagesReceived },
    bytes: { sent: counts.bytesSent, received: counts.bytesReceived },
    reconnects,
    connection,
    bulkConnection,
  };
}
