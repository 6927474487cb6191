import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { dialDirect } from "../../mod.ts";
import { ProbeService } from "../../proto/gen/viam_dial/probe/v1/probe_pb.ts";
import { test } from "../harness.ts";
import { type Answer, type Fields, startScriptedServer } from "./scripted_server.ts";

const GRPC: Fields = [["content-type", "application/grpc"]];

/** The refusal of a nonexistent method, as nginx with `grpc_pass` leaves it of that of grpc-go behind net/http. */
const WITHOUT_STATUS: Answer = { headers: [...GRPC, ["content-length", "0"], ["trailer", "Grpc-Status"]] };

test("a server speaks gRPC although a proxy drops the status of its errors", async () => {
  const answers = [WITHOUT_STATUS];
  await using server = await startScriptedServer(() =>
    answers.shift() ?? { headers: GRPC, body: new Uint8Array(5), trailers: [["grpc-status", "0"]] }
  );
  await using channel = await dialDirect(`127.0.0.1:${server.port}`, { insecure: true });
  assert.equal((await createClient(ProbeService, channel).echo({})).data.length, 0);
});
