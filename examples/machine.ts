/**
 * Runs a machine to dial, until it is told to stop: `deno task machine`.
 *
 * Options: `--port N`, `--no-auth`, and `--cert FILE --key FILE` (PEM) for TLS.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import { startMachine } from "@viam-dial/dial/testing";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "no-auth": { type: "boolean", default: false },
    cert: { type: "string" },
    key: { type: "string" },
  },
});
const { cert, key } = values;
if ((cert === undefined) !== (key === undefined)) throw new Error("--cert and --key go together");

const machine = await startMachine({
  port: Number(values.port),
  ...(values["no-auth"] ? { auth: "none" } : {}),
  ...(cert === undefined || key === undefined
    ? {}
    : { tls: { cert: await readFile(cert, "utf8"), key: await readFile(key, "utf8") } }),
});

console.log(`address     ${machine.address}`);
if (machine.apiKey !== "") {
  console.log(`API key     ${machine.apiKey}`);
  console.log(`API key id  ${machine.apiKeyId}`);
}
const credentials = machine.apiKey === ""
  ? ""
  : `...DialOptions.withApiKey("${machine.apiKey}", "${machine.apiKeyId}"), `;
const transport = cert === undefined ? "insecure: true" : "tls: { ca }";
console.log(`dial it     await dial("${machine.address}", { ${credentials}${transport} })`);
console.log("stop it     Ctrl-C");

let stopping = false;
const stop = async () => {
  if (stopping) return;
  stopping = true;
  await machine.close();
  console.log("stopped");
  // Signal handlers keep the process alive.
  process.off("SIGINT", stop);
  process.off("SIGTERM", stop);
};
process.on("SIGINT", stop);
process.on("SIGTERM", stop);
