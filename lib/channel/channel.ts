import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { formatTimeline, type TimelineEntry } from "../core/dial/timeline.ts";
import type { ReflectedServices } from "../core/grpc/reflected_services.ts";
import type { ChannelEvent, ChannelEventMap, ChannelKind, DialEvent } from "../events.ts";
import { guardCallback, type Logger } from "../logger.ts";
import { abortable } from "../runtime/abortable.ts";
import { createQueue } from "../runtime/queue.ts";
import type { ChannelPath, ChannelState } from "./link.ts";
import type { ChannelStats } from "./stats.ts";

/** Most events that wait for the reader of `events()`. */
const MAX_EVENTS = 1_000;

/** The parts of a channel, whatever the state of the connection. */
export interface ChannelCore {
  readonly transport: Transport;
  /** A transport whose monitored calls carry a session, unless the dial forbade sessions. */
  inSession(): Promise<Transport>;
  readonly kind: ChannelKind;
  /** The timeline of the dial. */
  readonly timeline: readonly TimelineEntry[];
  readonly logger: Required<Logger>;
  state(): ChannelState;
  path(): ChannelPath;
  stats(): ChannelStats;
  /** Resolves when closed; with an error if not by `close()`. */
  readonly closed: Promise<Error | undefined>;
  /** Reports events from now on; returns a function that stops it. */
  listen(listener: (event: DialEvent) => void): () => void;
  /** Ends every call and frees what the channel holds. Idempotent. */
  close(): Promise<void>;
  /** Called when the channel was collected without having been closed, with the promise of its closing. */
  readonly onAbandoned?: (closing: Promise<void>) => void;
}

/** The state that the handles of a channel share, and that outlives them. Nothing in it may refer to them. */
interface Shared {
  /**
   * Undefined once the channel is closed. The errors that it then holds refer to the objects whose methods are on
   * their stacks: to handles, for instance.
   */
  core: ChannelCore | undefined;
  handles: number;
  readonly releases: (() => Promise<void>)[];
  /** The answer to `reflect()`, or the request under way. */
  reflection?: Promise<ReflectedServices> | undefined;
}

/*
 * A safety net below `close()`: native connections outlive the code that made them, so a channel whose last handle is
 * collected is closed. A handle stays reachable through clients, through calls and streams under way, and through
 * listeners to its events or to `closed`; none of these ever lose it. The registry keeps no process alive.
 */
const abandoned = new FinalizationRegistry<Shared>((shared) => {
  if (--shared.handles > 0) return;
  const { core, releases } = shared;
  const closing = inTurn([async () => await core?.close(), ...releases]);
  closing.catch(() => {});
  core?.onAbandoned?.(closing);
});

const shares = new WeakMap<AuthenticatedChannel, Shared>();

function share(core: ChannelCore): Shared {
  const shared: Shared = { core, handles: 0, releases: [] };
  void core.closed.then(() => shared.core = undefined);
  return shared;
}

/**
 * Keeps the services until the connection is lost: the machine may come back with others. The listener is made here, so
 * that it does not refer to a handle.
 */
function keepReflection(
  asking: Promise<ReflectedServices>,
  shared: Shared,
  core: ChannelCore,
): Promise<ReflectedServices> {
  shared.reflection = asking;
  const forget = () => {
    stop();
    if (shared.reflection === asking) shared.reflection = undefined;
  };
  const stop = core.listen(({ type }) => {
    if (type === "disconnected") forget();
  });
  asking.catch(forget);
  return asking;
}

/** The channel of a stream: whoever reads its messages has the channel, too, since their iterator refers to them. */
const channelsOf = new WeakMap<AsyncIterable<unknown>, AuthenticatedChannel>();

/** The transport of a channel whose monitored calls carry a session, unless the dial forbade sessions. */
export let transportInSession: (channel: AuthenticatedChannel) => Transport;

const INSPECT = Symbol.for("nodejs.util.inspect.custom");
/** Deno's `EventTarget` has an inspection that takes precedence over `INSPECT`, and shows nothing. */
const DENO_INSPECT = Symbol.for("Deno.privateCustomInspect");

type Inspect = (value: unknown, options?: unknown) => string;

/**
 * A connection to a machine, with authentication applied: a Connect `Transport`, which any generated service works
 * on. It stays the same object when its connection is replaced.
 *
 * {@link dial} and {@link dialDirect} make it.
 *
 * Source: Python's `viam.rpc.dial.AuthenticatedChannel`; the methods of calls are those of Connect's `Transport`.
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dialDirect } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using machine = await startMachine({ auth: "none" });
 * await using channel = await dialDirect(machine.address, { insecure: true });
 * const { message } = await createClient(EchoService, channel).echo({ message: "hello" });
 * ```
 */
export class AuthenticatedChannel extends EventTarget implements Transport, AsyncDisposable {
  readonly #core: ChannelCore;
  /** Calls and waits under way. Each of them refers to the channel, so that it is not collected. */
  #uses = 0;
  #closed: Promise<Error | undefined> | undefined;
  #dispatching = false;
  readonly #guarded = new WeakMap<object, (event: Event) => void>();

  static {
    for (const symbol of [INSPECT, DENO_INSPECT]) {
      Object.defineProperty(this.prototype, symbol, { value: inspectChannel });
    }
    transportInSession = (channel) => ({
      unary: (...args) =>
        channel.#use(channel.#core.inSession().then((transport) => transport.unary(...args))),
      async stream(...args) {
        const response = await channel.#use(
          channel.#core.inSession().then((transport) => transport.stream(...args)),
        );
        channelsOf.set(response.message, channel);
        return response;
      },
    });
  }

  /**
   * Made by `dial` and `dialDirect`.
   *
   * @param channel A channel of which this is another handle; `dial` passes the parts of a new one.
   */
  constructor(channel: AuthenticatedChannel | ChannelCore) {
    super();
    const another = #core in channel;
    this.#core = another ? channel.#core : channel;
    const shared = another ? shares.get(channel)! : share(channel);
    shared.handles++;
    shares.set(this, shared);
    abandoned.register(this, shared);
  }

  /** "webrtc" or "direct". */
  get kind(): ChannelKind {
    return this.#core.kind;
  }

  /** The state of the channel: calls go through, wait for a reconnect, or fail. */
  get state(): ChannelState {
    return this.#core.state();
  }

  /** The current path of calls. */
  get path(): ChannelPath {
    return this.#core.path();
  }

  /**
   * Counts the traffic of the channel since it was dialed, and reads the state of its connection. Cheap: nothing is
   * asked of the machine.
   *
   * @example
   * ```ts
   * import { createClient } from "@connectrpc/connect";
   * import { dialDirect } from "@viam-dial/dial";
   * import { EchoService, startMachine } from "@viam-dial/dial/testing";
   *
   * await using machine = await startMachine({ auth: "none" });
   * await using channel = await dialDirect(machine.address, { insecure: true });
   * await createClient(EchoService, channel).echo({ message: "hello" });
   * console.log(channel.getStats().calls); // { started: 1, succeeded: 1, failed: 0, open: 0 }
   * ```
   */
  getStats(): ChannelStats {
    return this.#core.stats();
  }

  /** The steps of the dial, with times in milliseconds from its start. */
  get timeline(): readonly TimelineEntry[] {
    return this.#core.timeline;
  }

  /** Resolves when the channel is closed; with an error if it was lost for good. */
  get closed(): Promise<Error | undefined> {
    return this.#closed ??= this.#use(this.#core.closed);
  }

  /** Makes a unary call. Errors are `ConnectError`s; a lost connection is `Unavailable`. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    return this.#use(
      this.#core.transport.unary(method, signal, timeoutMs, header, input, contextValues),
    );
  }

  /**
   * Makes a streaming call of any kind. Leaving the loop over the messages ends the call. `createClient` does not tell
   * transports about that, so pass a `signal` there.
   */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    const response = await this.#use(
      this.#core.transport.stream(method, signal, timeoutMs, header, input, contextValues),
    );
    channelsOf.set(response.message, this);
    return response;
  }

  /**
   * Returns the services of the machine by gRPC server reflection: descriptors for `createClient`, without generated
   * code. A channel asks once and keeps the answer, over WebRTC until its connection is lost; concurrent calls share the
   * request.
   *
   * @param options `signal` ends the wait, with its reason.
   * @throws {ConnectError} `Unimplemented` when the machine has no reflection, or the error of a failed call
   *
   * @example
   * ```ts
   * import { dialDirect } from "@viam-dial/dial";
   * import { startMachine } from "@viam-dial/dial/testing";
   *
   * await using machine = await startMachine({ auth: "none" });
   * await using channel = await dialDirect(machine.address, { insecure: true });
   * for (const { typeName } of (await channel.reflect()).services) console.log(typeName);
   * ```
   */
  async reflect(options: { readonly signal?: AbortSignal } = {}): Promise<ReflectedServices> {
    const { signal } = options;
    signal?.throwIfAborted();
    const shared = shares.get(this)!;
    // Loaded here, because most programs have generated code.
    const asking = shared.reflection ??
      keepReflection(
        import("../reflection/reflect.ts").then(({ reflectServices }) => reflectServices(this)),
        shared,
        this.#core,
      );
    return await (signal === undefined ? asking : abortable(asking, signal));
  }

  /**
   * Listens to events of the channel, from now on; each is a `CustomEvent` with a typed `detail`. The errors
   * of a listener are logged once, and have no other effect.
   */
  override addEventListener<K extends keyof ChannelEventMap>(
    type: K,
    listener: ((event: CustomEvent<ChannelEventMap[K]>) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Listens to events of any other name. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Listens to events. */
  override addEventListener(
    type: string,
    // deno-lint-ignore no-explicit-any
    listener: any,
    options?: boolean | AddEventListenerOptions,
  ): void {
    if (!this.#dispatching) {
      this.#dispatching = true;
      this.#core.listen((event) => {
        if (event.type !== "progress") this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
      });
    }
    super.addEventListener(type, this.#guard(listener), options);
  }

  /** Stops listening to events of the channel. */
  override removeEventListener<K extends keyof ChannelEventMap>(
    type: K,
    listener: ((event: CustomEvent<ChannelEventMap[K]>) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  /** Stops listening to events of any other name. */
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  /** Stops listening to events. */
  override removeEventListener(
    type: string,
    // deno-lint-ignore no-explicit-any
    listener: any,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, this.#guard(listener), options);
  }

  /** Wraps a listener: an `EventTarget` would end the process if it throws. */
  #guard(listener: EventListenerOrEventListenerObject | null): ((event: Event) => void) | null {
    if (listener === null || listener === undefined) return null;
    let guarded = this.#guarded.get(listener);
    if (guarded === undefined) {
      const call = (event: Event) =>
        typeof listener === "function" ? listener.call(this, event) : listener.handleEvent(event);
      guarded = guardCallback("a listener of the channel", call, this.#core.logger);
      this.#guarded.set(listener, guarded);
    }
    return guarded;
  }

  /**
   * Iterates over the events of the channel from now on. The loop ends after `closed`. Until then, or until it is left,
   * the channel counts as used.
   *
   * @example
   * ```ts
   * import { dialDirect } from "@viam-dial/dial";
   * import { startMachine } from "@viam-dial/dial/testing";
   *
   * await using machine = await startMachine({ auth: "none" });
   * const channel = await dialDirect(machine.address, { insecure: true });
   * const events = channel.events();
   * await channel.close();
   * for await (const event of events) console.log(event.type);
   * ```
   */
  events(): AsyncIterableIterator<ChannelEvent, undefined, undefined> {
    let stop = () => {};
    const queue = createQueue<ChannelEvent>({
      most: MAX_EVENTS,
      stop: () => {
        stop();
        this.#uses--;
      },
    });
    this.#uses++;
    if (this.state === "closed") {
      queue.end();
    } else {
      stop = this.#core.listen((event) => {
        if (event.type === "progress") return;
        queue.push(event);
        if (event.type === "closed") queue.end();
      });
    }
    return queue;
  }

  /** Closes the channel: calls in flight fail with `Unavailable`, and sockets and timers are released. Idempotent. */
  close(): Promise<void> {
    return this.#core.close();
  }

  #use<T>(result: Promise<T>): Promise<T> {
    this.#uses++;
    result.then(this.#unuse, this.#unuse);
    return result;
  }

  readonly #unuse = () => {
    this.#uses--;
  };

  /** Closes the channel at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The result of {@link dial}: a channel, and the release of what it holds. It is a `Transport` itself.
 *
 * Source: Python's `viam.rpc.dial.ViamChannel`.
 *
 * @example
 * ```ts
 * import { createClient } from "@connectrpc/connect";
 * import { dial, DialOptions } from "@viam-dial/dial";
 * import { EchoService, startMachine } from "@viam-dial/dial/testing";
 *
 * await using robot = await startMachine();
 * await using machine = await dial(robot.address, {
 *   ...DialOptions.withApiKey(robot.apiKey, robot.apiKeyId),
 *   insecure: true,
 * });
 * const { message } = await createClient(EchoService, machine.channel).echo({ message: "hello" });
 * ```
 */
export class ViamChannel extends AuthenticatedChannel {
  /** The usable channel; the same object whatever happens to the connection. */
  readonly channel: AuthenticatedChannel;
  /** Releases what the channel holds. It runs exactly once, usually from `close()`. */
  readonly release: () => Promise<void>;
  #closing: Promise<void> | undefined;

  /**
   * Made by `dial`. Make one for a channel of your own together with what must be released with it.
   *
   * @param channel The usable channel.
   * @param release Runs exactly once, after the channel is closed, even if closing fails.
   */
  constructor(channel: AuthenticatedChannel, release: () => void | Promise<void> = () => {}) {
    super(channel);
    this.channel = channel;
    this.release = once(release);
    shares.get(channel)!.releases.push(this.release);
  }

  /**
   * Closes the channel, then releases what it held, even if closing fails. Idempotent: every call returns the same
   * promise.
   */
  override close(): Promise<void> {
    return this.#closing ??= inTurn([() => this.channel.close(), this.release]);
  }
}

/** Shows the state of a channel and its dial, and nothing that could contain a secret. */
function inspectChannel(this: AuthenticatedChannel, ...args: readonly unknown[]): string {
  const inspect = args.find((arg) => typeof arg === "function") as Inspect;
  const { kind, state, path } = this;
  const timeline = formatTimeline(this.timeline).split("\n");
  return `${this.constructor.name} ${inspect({ kind, state, path, timeline })}`;
}

/** Takes every step, whatever becomes of those before it. */
async function inTurn(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 1) throw new AggregateError(failures, "neither closing nor releasing went well");
  if (failures.length === 1) throw failures[0];
}

/** Runs it at the first call; every other call waits for that. */
function once(run: () => void | Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => running ??= (async () => await run())();
}
