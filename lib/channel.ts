import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import type { ReflectedServices } from "./core/reflected_services.ts";
import type { TimelineEntry } from "./core/timeline.ts";
import type { ChannelKind, DialEvent } from "./events.ts";
import type { ChannelPath, ChannelState } from "./reconnect.ts";
import { abortable } from "./rpc/abortable.ts";

/** What a channel stands on. */
export interface ChannelCore {
  /** Carries calls, whatever the state of the connection. */
  readonly transport: Transport;
  /** "webrtc" or "direct". */
  readonly kind: ChannelKind;
  /** What happened during the dial. */
  readonly timeline: readonly TimelineEntry[];
  /** Whether calls go through now. */
  state(): ChannelState;
  /** The way that calls take now. */
  path(): ChannelPath;
  /** Resolves when closed; with an error, when not by `close()`. */
  readonly closed: Promise<Error | undefined>;
  /** Reports events from now on; returns a function that stops it. */
  listen(listener: (event: DialEvent) => void): () => void;
  /** Ends every call and frees what the channel holds. Idempotent. */
  close(): Promise<void>;
}

/**
 * A connection to a machine, with authentication applied: a Connect `Transport`, which any generated service works
 * on. It stays the same object when the connection under it is replaced.
 *
 * Made by {@link dial} and {@link dialDirect}.
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
export class AuthenticatedChannel implements Transport, AsyncDisposable {
  readonly #core: ChannelCore;
  #reflection: Promise<ReflectedServices> | undefined;

  /**
   * Made by `dial` and `dialDirect`.
   *
   * @param core What the channel stands on.
   */
  constructor(core: ChannelCore) {
    this.#core = core;
  }

  /** "webrtc" or "direct". */
  get kind(): ChannelKind {
    return this.#core.kind;
  }

  /** Whether calls go through now, wait for a reconnect, or fail. */
  get state(): ChannelState {
    return this.#core.state();
  }

  /** The way that calls take now. */
  get path(): ChannelPath {
    return this.#core.path();
  }

  /** What happened during the dial, in milliseconds from its start. */
  get timeline(): readonly TimelineEntry[] {
    return this.#core.timeline;
  }

  /** Resolves when the channel is closed; with an error, when it was lost for good. */
  get closed(): Promise<Error | undefined> {
    return this.#core.closed;
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
    return this.#core.transport.unary(method, signal, timeoutMs, header, input, contextValues);
  }

  /**
   * Makes a streaming call of any kind. A reader that leaves its loop over the messages ends the call. Through
   * `createClient`, which keeps that from transports, pass a `signal` instead.
   */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    return this.#core.transport.stream(method, signal, timeoutMs, header, input, contextValues);
  }

  /**
   * The services of the machine, by gRPC server reflection: descriptors for `createClient`, where there is no
   * generated code. Asked once a channel, and kept; calls beside each other share the question.
   *
   * @param options `signal` gives the waiting up, with its reason.
   * @throws {ConnectError} `Unimplemented` when the machine has no reflection; any other as of a call
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
    // Loaded here: most programs have generated code.
    const asking = this.#reflection ??= import("./reflection/reflect.ts").then(
      ({ reflectServices }) => reflectServices(this),
    );
    asking.catch(() => {
      if (this.#reflection === asking) this.#reflection = undefined;
    });
    return await (signal === undefined ? asking : abortable(asking, signal));
  }

  /** Reports what happens to the channel from now on; returns a function that stops it. */
  listen(listener: (event: DialEvent) => void): () => void {
    return this.#core.listen(listener);
  }

  /** Closes the channel: calls in flight fail with `Unavailable`, sockets and timers are freed. Idempotent. */
  close(): Promise<void> {
    return this.#core.close();
  }

  /** Closes the channel at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * What {@link dial} returns: a channel, and the release of what it holds. It is a `Transport` itself.
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
export class ViamChannel extends EventTarget implements Transport, AsyncDisposable {
  /** The usable channel; the same object whatever happens to the connection. */
  readonly channel: AuthenticatedChannel;
  /** Frees what the channel holds; run exactly once, by `close()`. */
  readonly release: () => void | Promise<void>;
  #closing: Promise<void> | undefined;

  /**
   * Made by `dial`; of your own channel, with what goes with it.
   *
   * @param channel The usable channel.
   * @param release Run exactly once, after the channel is closed, even if that fails.
   */
  constructor(channel: AuthenticatedChannel, release: () => void | Promise<void> = () => {}) {
    super();
    this.channel = channel;
    this.release = release;
    channel.listen((event) => {
      if (event.type !== "progress") this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    });
  }

  /** "webrtc" or "direct". */
  get kind(): ChannelKind {
    return this.channel.kind;
  }

  /** Whether calls go through now, wait for a reconnect, or fail. */
  get state(): ChannelState {
    return this.channel.state;
  }

  /** The way that calls take now. */
  get path(): ChannelPath {
    return this.channel.path;
  }

  /** What happened during the dial, in milliseconds from its start. */
  get timeline(): readonly TimelineEntry[] {
    return this.channel.timeline;
  }

  /** Resolves when the channel is closed; with an error, when it was lost for good. */
  get closed(): Promise<Error | undefined> {
    return this.channel.closed;
  }

  /** Makes a unary call on the channel. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ): Promise<UnaryResponse<I, O>> {
    return this.channel.unary(method, signal, timeoutMs, header, input, contextValues);
  }

  /** Makes a streaming call on the channel. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ): Promise<StreamResponse<I, O>> {
    return this.channel.stream(method, signal, timeoutMs, header, input, contextValues);
  }

  /** The services of the machine, as {@link AuthenticatedChannel.reflect} has them. */
  reflect(options?: { readonly signal?: AbortSignal }): Promise<ReflectedServices> {
    return this.channel.reflect(options);
  }

  /** Closes the channel, then releases what it held. Idempotent; concurrent calls share one promise. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      try {
        await this.channel.close();
      } finally {
        await this.release();
      }
    })();
    return this.#closing;
  }

  /** Closes the channel at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
