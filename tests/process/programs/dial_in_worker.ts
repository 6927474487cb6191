/** A worker that dials the address it is sent, over WebRTC and directly, and answers with what came of it. */

import { parentPort } from "node:worker_threads";
import { dial } from "../../../mod.ts";

async function outcomes(address: string): Promise<string[]> {
  return await Promise.all([false, true].map(async (disableWebrtc) => {
    try {
      await using channel = await dial(address, { insecure: true, disableWebrtc });
      return channel.kind;
    } catch (error) {
      return (error as Error).message;
    }
  }));
}

if (parentPort !== null) {
  parentPort.on("message", async (address: string) => parentPort!.postMessage(await outcomes(address)));
} else {
  const scope = globalThis as unknown as {
    onmessage: (event: { readonly data: string }) => void;
    postMessage(message: unknown): void;
  };
  scope.onmessage = async ({ data }) => scope.postMessage(await outcomes(data));
}
