/**
 * Shows a dial and a call as OpenTelemetry spans. Deno has an exporter built in; with a collector on this computer
 * leave the protocol out, and it is sent there:
 *
 * OTEL_DENO=true OTEL_EXPORTER_OTLP_PROTOCOL=console \
 *   deno run --allow-net --allow-ffi --allow-read examples/telemetry.ts
 *
 * On Bun register the OpenTelemetry SDK for Node before the dial; nothing else changes.
 */
import { createClient } from "@connectrpc/connect";
import { dial, DialOptions } from "@viam-dial/dial";
import { EchoService, startMachine } from "@viam-dial/dial/testing";

await using robot = await startMachine();
await using machine = await dial(robot.address, {
  ...DialOptions.withApiKey(robot.apiKey, robot.apiKeyId),
  insecure: true,
});
const { message } = await createClient(EchoService, machine).echo({ message: "hello" });
console.log(message);
