import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { Metadata } from "../core/grpc/metadata.ts";

/** Length of the shortest secret that is removed: shorter ones are parts of ordinary words. */
const MIN_LENGTH = 6;

/**
 * Makes an interceptor that removes secrets from errors: a server may repeat what it was given.
 *
 * @param secrets The secrets to remove.
 */
export function hideInErrors(secrets: readonly string[]): Interceptor {
  const long = secrets.filter((secret) => secret.length >= MIN_LENGTH);
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: withHidden(response.message, long) } : response;
    } catch (error) {
      throw hidden(error, long);
    }
  };
}

async function* withHidden<T>(messages: AsyncIterable<T>, secrets: readonly string[]): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw hidden(error, secrets);
  }
}

const utf8 = new TextDecoder();

/** Returns the error itself, or a copy without the secrets in it. */
function hidden(error: unknown, secrets: readonly string[]): unknown {
  if (!(error instanceof ConnectError)) return error;
  const details = error.details.map((detail) =>
    "value" in detail ? utf8.decode(detail.value as Uint8Array) : ""
  );
  const texts = [error.rawMessage, ...details, ...Array.from(error.metadata, ([, value]) => value)];
  if (!secrets.some((secret) => texts.some((text) => text.includes(secret)))) return error;
  const without = (text: string) =>
    secrets.reduce((rest, secret) => rest.replaceAll(secret, "[redacted]"), text);
  const metadata = new Metadata(
    Array.from(error.metadata, ([name, value]): [string, string] => [name, without(value)]),
  );
  return new ConnectError(without(error.rawMessage), error.code, metadata);
}
