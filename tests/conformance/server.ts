/** The server under test: the embedded machine, with the suite's service. The runner ends it with a signal. */

import { create } from "@bufbuild/protobuf";
import { startMachine } from "../../lib/testing/mod.ts";
import { readMessages, writeMessage } from "./pipe.ts";
import { ServerCompatRequestSchema, ServerCompatResponseSchema } from "./protocol.ts";
import { conformanceRoutes } from "./service.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

for await (const request of readMessages(ServerCompatRequestSchema)) {
  const { useTls, serverCreds, clientTlsCert, messageReceiveLimit } = request;
  const credentials = useTls ? serverCreds : undefined;
  const machine = await startMachine({
    auth: "none",
    routes: conformanceRoutes,
    ...(messageReceiveLimit === 0 ? {} : { maxMessageBytes: messageReceiveLimit }),
    ...(credentials === undefined ? {} : {
      tls: {
        cert: text(credentials.cert),
        key: text(credentials.key),
        ...(clientTlsCert.length === 0 ? {} : { ca: text(clientTlsCert), requestCertificate: true }),
      },
    }),
  });
  await writeMessage(
    ServerCompatResponseSchema,
    create(ServerCompatResponseSchema, {
      host: "127.0.0.1",
      port: machine.port,
      ...(credentials === undefined ? {} : { pemCert: credentials.cert }),
    }),
  );
}
