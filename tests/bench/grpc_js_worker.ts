/** A worker on Node: `@grpc/grpc-js`, with the same generated messages. Bundled for Node by `worker_process.ts`. */

import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  type DownloadRequest,
  type Payload,
  ProbeService,
  type UploadSummary,
} from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { serve } from "./worker_loop.ts";

const SERVICE = `/${ProbeService.typeName}`;

function codec<D extends DescMessage>(schema: D) {
  return {
    write: (value: MessageShape<D>) => Buffer.from(toBinary(schema, value)),
    read: (bytes: Uint8Array) => fromBinary(schema, bytes),
  };
}

type Shape = Pick<MethodDefinition<unknown, unknown>, "path"> & {
  write: (value: never) => Buffer;
  read: (bytes: Uint8Array) => unknown;
};

function shape(name: keyof typeof ProbeService.method): Shape {
  const { input, output, name: method } = ProbeService.method[name];
  return { path: `${SERVICE}/${method}`, write: codec(input).write, read: codec(output).read };
}

const echo = shape("echo"), download = shape("download");
const upload = shape("upload"), exchange = shape("exchange");

/** `Promise.withResolvers`, which Node 20 lacks. */
function settleable() {
  let resolve!: () => void, reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

await serve({
  open: ({ address, ca }) => {
    const security = ca === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca));
    const client = new Client(address, security, {
      "grpc.max_receive_message_length": 1 << 26,
      "grpc.max_send_message_length": 1 << 26,
    });
    /** Writes as fast as the stream accepts. */
    async function sendAll(
      stream: {
        write(value: Payload): boolean;
        end(): void;
        once(event: "drain", then: () => void): unknown;
      },
      data: Uint8Array,
      count: number,
    ): Promise<void> {
      for (let n = 0; n < count; n++) {
        if (!stream.write({ $typeName: "viam_dial.probe.v1.Payload", data })) {
          await new Promise<void>((resolve) => stream.once("drain", resolve));
        }
      }
      stream.end();
    }
    return Promise.resolve({
      unary: (data) =>
        new Promise((resolve, reject) => {
          client.makeUnaryRequest<Payload, Payload>(
            echo.path,
            echo.write as (value: Payload) => Buffer,
            echo.read as (bytes: Uint8Array) => Payload,
            { $typeName: "viam_dial.probe.v1.Payload", data },
            (error) => error === null ? resolve() : reject(error),
          );
        }),
      download: (size, count) =>
        new Promise((resolve, reject) => {
          client.makeServerStreamRequest<DownloadRequest, Payload>(
            download.path,
            download.write as (value: DownloadRequest) => Buffer,
            download.read as (bytes: Uint8Array) => Payload,
            { $typeName: "viam_dial.probe.v1.DownloadRequest", size, count, intervalMs: 0 },
          ).on("data", () => {}).on("end", resolve).on("error", reject);
        }),
      async upload(data, count) {
        const done = settleable();
        const stream = client.makeClientStreamRequest<Payload, UploadSummary>(
          upload.path,
          upload.write as (value: Payload) => Buffer,
          upload.read as (bytes: Uint8Array) => UploadSummary,
          (error) => error === null ? done.resolve() : done.reject(error),
        );
        await sendAll(stream, data, count);
        await done.promise;
      },
      async exchange(data, count) {
        const done = settleable();
        const stream = client.makeBidiStreamRequest<Payload, Payload>(
          exchange.path,
          exchange.write as (value: Payload) => Buffer,
          exchange.read as (bytes: Uint8Array) => Payload,
        );
        stream.on("data", () => {}).on("end", done.resolve).on("error", done.reject);
        await sendAll(stream, data, count);
        await done.promise;
      },
      close: () => {
        client.close();
        return Promise.resolve();
      },
    });
  },
});
