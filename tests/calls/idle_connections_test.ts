/** Connections that a server has closed while nobody looked. */

import { createClient } from "@connectrpc/connect";
import { EchoService } from "../../lib/testing/mod.ts";
import { dialDirect } from "../../mod.ts";
import { test } from "../harness.ts";
import { startProgram } from "../process/child.ts";

test("a program that computes while the server closes idle connections makes its next calls on new ones", async () => {
  await using server = startProgram("tests/calls/programs/impatient_server.ts");
  const address = await server.line();
  await using channel = await dialDirect(address, { insecure: true, protocol: "grpc-web" });
  const { echo } = createClient(EchoService, channel);
  await Promise.all([echo({}), echo({}), echo({})]);
  const end = performance.now() + 3_100;
  while (performance.now() < end);
  await Promise.all([echo({}), echo({}), echo({})]);
});
