import type { CallCounts } from "./machine_options.ts";

const NONE: CallCounts = { webrtc: 0, grpc: 0, "grpc-web": 0, connect: 0 };

/** Counts calls by protocol and method. */
export class CallCounter {
  #total: CallCounts = NONE;
  readonly #byPath = new Map<string, CallCounts>();

  /** @param protocol The name that handlers see: "webrtc", "grpc", "grpc-web" or "connect". */
  count(protocol: string, path: string): void {
    const key = protocol as keyof CallCounts;
    const counts = this.of(path);
    this.#byPath.set(path, { ...counts, [key]: counts[key] + 1 });
    this.#total = { ...this.#total, [key]: this.#total[key] + 1 };
  }

  get total(): CallCounts {
    return this.#total;
  }

  of(path: string): CallCounts {
    return this.#byPath.get(path) ?? NONE;
  }
}
