/** The pipe to the conformance runner: messages with their length before them, on standard input and output. */

import process from "node:process";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

/** Every message that the runner sends, until it closes the pipe. */
export async function* readMessages<D extends DescMessage>(schema: D): AsyncGenerator<MessageShape<D>> {
  let rest = new Uint8Array(0);
  for await (const chunk of process.stdin) {
    const bytes = new Uint8Array(rest.length + chunk.length);
    bytes.set(rest);
    bytes.set(chunk, rest.length);
    rest = bytes;
    for (;;) {
      if (rest.length < 4) break;
      const end = 4 + new DataView(rest.buffer, rest.byteOffset).getUint32(0);
      if (rest.length < end) break;
      yield fromBinary(schema, rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  }
  if (rest.length > 0) throw new Error("the runner closed the pipe in the middle of a message");
}

/** Sends one message to the runner; resolves when it is written. */
export function writeMessage<D extends DescMessage>(schema: D, message: MessageShape<D>): Promise<void> {
  const body = toBinary(schema, message);
  const bytes = new Uint8Array(4 + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, 4);
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => error ? reject(error) : resolve());
  });
}
