import type { MethodImplSpec } from "@connectrpc/connect";
import { transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { type Methods, replaceCalls } from "../server/routes.ts";

/** The outcome of a call. */
export interface Witnessed {
  readonly started: boolean;
  /** True if its signal was aborted before its handler ended. */
  readonly cancelled: boolean;
  /** True if its handler ended, with or without an error. */
  readonly finished: boolean;
}

/** Records the outcome of calls that carry a token in their metadata. */
export interface Witness {
  /** The same methods, watched. */
  watch(methods: Methods): Methods;
  /** Returns the outcome of the call with this token; of the last one, if there were several. */
  recall(token: string): Witnessed;
}

const HEADER = "x-witness";

const NEVER_SEEN: Witnessed = { started: false, cancelled: false, finished: false };

/** Makes a witness. */
export function createWitness(): Witness {
  const seen = new Map<string, Witnessed>();

  /** @returns A function to call when the handler has ended. */
  function start(token: string, signal: AbortSignal): () => void {
    const record = { started: true, cancelled: false, finished: false };
    seen.set(token, record);
    const cancelled = () => void (record.cancelled = true);
    // It is also aborted when the call is over: the handler has ended then.
    signal.addEventListener("abort", cancelled, { once: true });
    return () => {
      signal.removeEventListener("abort", cancelled);
      record.finished = true;
    };
  }

  function watched(spec: MethodImplSpec): MethodImplSpec {
    return replaceCalls(spec, (context) => {
      const token = context.requestHeader.get(HEADER);
      if (token === null) return undefined;
      const handle = transformInvokeImplementation(spec, context, []);
      return (messages) => untilDone(handle(messages), start(token, context.signal));
    });
  }

  return {
    watch: (methods) => new Map(Array.from(methods, ([path, spec]) => [path, watched(spec)])),
    recall: (token) => seen.get(token) ?? NEVER_SEEN,
  };
}

async function* untilDone<T>(messages: AsyncIterable<T>, done: () => void): AsyncGenerator<T> {
  try {
    yield* messages;
  } finally {
    done();
  }
}
