/** Counts the traffic of a transport's calls. */
export class TrafficCounts {
  started = 0;
  succeeded = 0;
  failed = 0;
  messagesSent = 0;
  messagesReceived = 0;
  /** Of serialized messages, in bytes. */
  bytesSent = 0;
  /** Of serialized messages, in bytes. */
  bytesReceived = 0;

  sent(bytes: number): void {
    this.messagesSent++;
    this.bytesSent += bytes;
  }

  received(bytes: number): void {
    this.messagesReceived++;
    this.bytesReceived += bytes;
  }

  ended(error: unknown): void {
    if (error === undefined) this.succeeded++;
    else this.failed++;
  }
}
