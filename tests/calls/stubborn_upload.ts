import type { Routes } from "../../lib/testing/mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";

/** An upload of this many bytes is never answered. */
export const UNANSWERED_BYTES = 7;

/** ProbeService's Upload, which counts; but some uploads it reads to their end and then does not answer. */
export const stubbornUpload: Routes = (router) =>
  router.rpc(ProbeService.method.upload, async (payloads, { signal }) => {
    let bytes = 0, count = 0;
    for await (const { data } of payloads) {
      bytes += data.length;
      count++;
    }
    if (bytes === UNANSWERED_BYTES) {
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    return { bytes: BigInt(bytes), count };
  });
