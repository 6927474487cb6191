import type { Http2Server, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";

/**
 * Lets a server of Bun send its headers without the dynamic table of HPACK: Bun uses the table even for a client that
 * allows none, such as nginx, which then answers every second call with 502. Headers that are marked as sensitive are
 * never indexed (RFC 7541, section 6.2.3).
 *
 * @param sensitiveHeaders The symbol of `node:http2`.
 */
export function sendUnindexed(server: Pick<Http2Server, "prependListener">, sensitiveHeaders: symbol): void {
  const marked = (headers: OutgoingHttpHeaders) =>
    Object.assign({}, headers, {
      [sensitiveHeaders]: Object.keys(headers).filter((name) => !name.startsWith(":")),
    });
  // Before the listener that makes a request and a response of a stream.
  server.prependListener("stream", (stream: ServerHttp2Stream) => {
    const respond = stream.respond.bind(stream);
    const sendTrailers = stream.sendTrailers.bind(stream);
    stream.respond = (headers = {}, options) =>
      // Bun would add the date by itself, and index it.
      respond(marked({ date: new Date().toUTCString(), ...headers as OutgoingHttpHeaders }), options);
    stream.sendTrailers = (headers) => sendTrailers(marked(headers));
  });
}
