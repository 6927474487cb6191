import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { EndingListener } from "../../lib/direct/call_ending.ts";
import { Http2Call } from "../../lib/direct/http2_call.ts";
import type { Session } from "../../lib/direct/http2_session.ts";
import { test } from "../harness.ts";

test("Http2Call: what a cancelled upload has not sent is in front of no ping", async () => {
  // No stream is read, so the upload stops at the window.
  const server = createServer();
  const arrived = once(server, "stream");
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const http2 = connect(`http://127.0.0.1:${port}`);
  let begun = 0, taken = 0;
  const life = {
    taken: 0,
    arrived() {},
    writing: (bytes: number) => void (begun += bytes),
    wrote: (bytes: number) => void (taken += bytes),
  };
  const released = Promise.withResolvers<void>();
  const session = { http2, life, streams: new Set(), looks: 0, hear() {}, opened() {} } as unknown as Session;
  const call = new Http2Call(
    { kind: "client_streaming", path: "/a.B/C", headers: new Metadata() } as never,
    new EndingListener({ headers() {}, message() {}, end() {} }),
    {
      endpoint: { hostname: "127.0.0.1", port, secure: false },
      headersOf: () => ({ ":method": "POST", ":path": "/a.B/C" }),
      acquire: () => session,
      release: () => released.resolve(),
      onOver() {},
      maxMessageBytes: 1,
    } as never,
  );
  call.send(new Uint8Array(8_000_000), false);
  try {
    await arrived;
    assert.ok(begun > 8_000_000 && taken === 0, `${taken} of ${begun}`);
    call.reset();
    await released.promise;
    assert.equal(taken, begun);
  } finally {
    const closed = [once(http2, "close"), once(server, "close")];
    http2.close();
    server.close();
    await Promise.all(closed);
  }
});
