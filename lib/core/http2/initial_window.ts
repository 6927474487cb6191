import { FRAME_HEADER_BYTES, type FrameRule, type Http2Frame } from "./frame_filter.ts";

const SETTINGS = 0x04;
const WINDOW_UPDATE = 0x08;
const ACK = 0x01;
const INITIAL_WINDOW_SIZE = 0x04;
const DEFAULT_BYTES = 65_535;
const SETTING_BYTES = 6;

/**
 * Tells a client by window updates that its server has widened the windows of all streams (RFC 9113, section 6.9.2).
 * Bun's node:http2 needs it, since it applies a changed initial window to later streams only. grpc-go widens windows
 * this way once it has measured the link, and an upload would stall for ever.
 */
export class InitialWindow implements FrameRule {
  /** The window that the client assumes. */
  #told: number | undefined;
  #now = DEFAULT_BYTES;
  readonly #openStreams: () => Iterable<number>;

  /** @param openStreams Returns the ids of the open streams. */
  constructor(openStreams: () => Iterable<number>) {
    this.#openStreams = openStreams;
  }

  wants(type: number): boolean {
    return type === SETTINGS;
  }

  /** Returns what to pass on in place of a SETTINGS frame of the server. */
  replace(frame: Http2Frame): Uint8Array[] {
    if ((frame.flags & ACK) !== 0) return [frame.bytes];
    const { bytes } = frame;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const kept: Uint8Array[] = [];
    let size: number | undefined;
    for (let at = FRAME_HEADER_BYTES; at + SETTING_BYTES <= bytes.length; at += SETTING_BYTES) {
      if (view.getUint16(at) === INITIAL_WINDOW_SIZE) size = view.getUint32(at + 2);
      else kept.push(bytes.subarray(at, at + SETTING_BYTES));
    }
    const wider = this.#told !== undefined && size !== undefined && size > this.#now;
    if (!wider) {
      // The first settings, or narrower windows, apply to later streams at once.
      if (size !== undefined) this.#now = size;
      if (size !== undefined || this.#told === undefined) this.#told = this.#now;
      return [bytes];
    }
    const more = size! - this.#now;
    this.#now = size!;
    return [settingsOf(kept), ...Array.from(this.#openStreams(), (stream) => windowUpdate(stream, more))];
  }

  /**
   * Returns the window update for a stream that was just opened; undefined if its window is what the client assumes.
   */
  opened(stream: number): Uint8Array | undefined {
    const more = this.#now - (this.#told ?? this.#now);
    return more > 0 ? windowUpdate(stream, more) : undefined;
  }
}

function settingsOf(settings: readonly Uint8Array[]): Uint8Array {
  const length = settings.length * SETTING_BYTES;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + length);
  frame[1] = length >> 8;
  frame[2] = length & 0xff;
  frame[3] = SETTINGS;
  settings.forEach((setting, index) => frame.set(setting, FRAME_HEADER_BYTES + index * SETTING_BYTES));
  return frame;
}

function windowUpdate(stream: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + 4);
  frame[2] = 4;
  frame[3] = WINDOW_UPDATE;
  const view = new DataView(frame.buffer);
  view.setUint32(5, stream);
  view.setUint32(FRAME_HEADER_BYTES, bytes);
  return frame;
}
