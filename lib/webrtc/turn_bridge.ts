import { isPermitted } from "../runtime/permission.ts";
import { type FromWorker, type RelayThread, startRelayThread, type ToWorker } from "./relay_thread.ts";
import type { TurnRelay, TurnRelayEvent, TurnUpstream } from "./turn_relay.ts";

/** The package for npm's clients contains JavaScript files. */
const THREAD = new URL(
  import.meta.url.endsWith(".js") ? "./turn_bridge_worker.js" : "./turn_bridge_worker.ts",
  import.meta.url,
);

/** Time for the thread to start and to answer, in milliseconds; after that, a relay runs in this thread. */
const START_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;

/** One relay, as this side of the thread sees it. */
interface Entry {
  readonly opened: PromiseWithResolvers<number>;
  readonly closed: PromiseWithResolvers<void>;
  readonly report: (event: TurnRelayEvent) => void;
}

/** The thread, while there is a relay. */
interface Thread {
  readonly worker: RelayThread;
  readonly ready: Promise<void>;
  readonly entries: Map<number, Entry>;
}

let thread: Thread | undefined;
let lastId = 0;

/** Opens a port on loopback that leads to a TURN server; see `openTurnRelay`. */
export async function openTurnBridge(
  upstream: TurnUpstream,
  report: (event: TurnRelayEvent) => void,
): Promise<TurnRelay> {
  const id = ++lastId;
  const entry: Entry = { opened: Promise.withResolvers(), closed: Promise.withResolvers(), report };
  let current: Thread;
  // Deno writes missing permissions of a thread to the console.
  if (THREAD.protocol === "file:" && !isPermitted({ name: "read", path: THREAD })) {
    return await openHere(upstream, report);
  }
  try {
    current = thread ??= startThread();
    current.entries.set(id, entry);
    await current.ready;
  } catch {
    // The runtime cannot start a thread here, for lack of a permission or of the file. This thread works as well, as
    // long as the program does not keep it busy.
    return await openHere(upstream, report);
  }
  current.worker.postMessage({ kind: "open", id, upstream } satisfies ToWorker);
  try {
    const port = await entry.opened.promise;
    return {
      port,
      nominate(peer, password) {
        current.worker.postMessage({ kind: "nominate", id, peer, password } satisfies ToWorker);
      },
      close: () => closeEntry(current, id, entry),
    };
  } catch (error) {
    forget(current, id);
    throw error;
  }
}

async function openHere(
  upstream: TurnUpstream,
  report: (event: TurnRelayEvent) => void,
): Promise<TurnRelay> {
  // With a thread, only that loads datagrams and TLS.
  const { openTurnRelay } = await import("./turn_relay.ts");
  return await openTurnRelay(upstream, report);
}

async function closeEntry(from: Thread, id: number, entry: Entry): Promise<void> {
  if (!from.entries.has(id)) return await entry.closed.promise;
  from.worker.postMessage({ kind: "close", id } satisfies ToWorker);
  const timer = setTimeout(() => entry.closed.resolve(), CLOSE_TIMEOUT_MS);
  await entry.closed.promise;
  clearTimeout(timer);
  forget(from, id);
}

/** The thread ends with its last relay, since it would keep the process from exiting. */
function forget(from: Thread, id: number): void {
  from.entries.delete(id);
  if (from.entries.size > 0) return;
  if (thread === from) thread = undefined;
  from.worker.terminate();
}

function startThread(): Thread {
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  const worker = startRelayThread(THREAD, { message: receive, failed: fail });
  const started: Thread = { worker, ready: ready.promise, entries: new Map() };
  let isReady = false;
  const timer = setTimeout(() => fail("its thread did not start"), START_TIMEOUT_MS);

  function fail(reason: string): void {
    clearTimeout(timer);
    if (thread === started) thread = undefined;
    ready.reject(new Error(reason));
    for (const [id, entry] of started.entries) {
      entry.opened.reject(new Error(reason));
      entry.opened.promise.catch(() => {});
      entry.closed.resolve();
      // A relay that is requested later runs in this thread.
      if (isReady) entry.report({ type: "lost", reason });
      started.entries.delete(id);
    }
    worker.terminate();
  }

  function receive(message: FromWorker): void {
    if (message.kind === "ready") {
      clearTimeout(timer);
      isReady = true;
      return ready.resolve();
    }
    const entry = started.entries.get(message.id);
    switch (message.kind) {
      case "opened":
        return entry?.opened.resolve(message.port);
      case "unopened":
        return entry?.opened.reject(new Error(message.reason));
      case "event":
        return entry?.report(message.event);
      case "closed":
        return entry?.closed.resolve();
    }
  }
  return started;
}
