import { Code, ConnectError } from "@connectrpc/connect";
import { sameServers, usableUntil } from "../core/ice/config_life.ts";
import { ExchangeError } from "../core/ice/exchange_error.ts";
import type { SignalingConfig } from "../webrtc/signaling_client.ts";

/** A signaling server's configuration, and the time that it took to get it. */
export interface TimedConfig extends SignalingConfig {
  /** A round trip to the server, in milliseconds. */
  readonly roundTripMs: number;
}

/** Most configurations that are remembered; the oldest is forgotten first. */
const MOST = 100;

/** By server, machine and entity. */
const remembered = new Map<string, { readonly config: TimedConfig; readonly until: number }>();

/**
 * Runs an attempt with the configuration of an earlier dial, where that can still be used, while the server is asked
 * again beside it: that saves a round trip. If the answer is another one, the attempt is made again with that.
 *
 * @param ask Asks the server. An error of it fails the attempt.
 */
export async function withConfig<T>(
  key: string,
  ask: () => Promise<TimedConfig>,
  attempt: (config: TimedConfig, signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const known = remembered.get(key);
  const asked = ask().then((config) => {
    remember(key, config);
    return config;
  }, (error) => {
    // It still holds where the server could not be asked.
    const isAnswer = !signal.aborted && ConnectError.from(error).code !== Code.Unavailable;
    if (isAnswer) remembered.delete(key);
    throw error;
  });
  if (known === undefined || known.until <= Date.now()) return await attempt(await asked, signal);
  const outdated = new AbortController();
  asked.then(
    ({ iceServers }) => {
      if (sameServers(iceServers, known.config.iceServers)) return;
      outdated.abort(new DOMException("the ICE servers have changed", "AbortError"));
    },
    (error) => outdated.abort(error),
  );
  try {
    return await attempt(known.config, AbortSignal.any([signal, outdated.signal]));
  } catch (error) {
    if (signal.aborted) throw error;
    const config = await asked;
    // A token from before may have been refused, which is renewed for the next call.
    const isRefused = error instanceof ExchangeError && error.code === Code.Unauthenticated;
    if (!outdated.signal.aborted && !isRefused) throw error;
    return await attempt(config, signal);
  }
}

function remember(key: string, config: TimedConfig): void {
  remembered.delete(key);
  const now = Date.now();
  const until = usableUntil(config.iceServers, now);
  if (until <= now) return;
  remembered.set(key, { config, until });
  if (remembered.size > MOST) remembered.delete(remembered.keys().next().value!);
}
