/**
 * Dials a machine with the official TypeScript SDK over WebRTC, and prints what it was told. The SDK is for browsers:
 * elsewhere the classes of WebRTC have to be globals.
 *
 * dial.ts HOST:PORT API-KEY API-KEY-ID
 */
import process from "node:process";
import * as polyfill from "node-datachannel/polyfill";

const { default: _, ...classes } = polyfill;
Object.assign(globalThis, classes);
// Written by the SDK to standard output, which is for the result alone.
console.debug = console.info = () => {};
const { createRobotClient } = await import("@viamrobotics/sdk");

const [host = "", payload = "", authEntity = ""] = process.argv.slice(2);
const client = await createRobotClient({
  host,
  signalingAddress: `http://${host}`,
  credentials: { type: "api-key", payload, authEntity },
  disableSessions: true,
  noReconnect: true,
});
const names = (await client.resourceNames()).map(({ name }) => name);
const { platform } = await client.getVersion();
process.stdout.write(`${JSON.stringify({ names, platform })}\n`);
await client.disconnect();
process.exit(0);
