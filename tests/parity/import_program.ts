/** Says what importing the module and dialing bring into a process. Run by module_test.ts. */

import { readFileSync } from "node:fs";
import process from "node:process";

const [address = "", apiKey = "", apiKeyId = ""] = process.argv.slice(2);
void Response; // Node makes what belongs to fetch when it is first looked at
const before = new Set(Reflect.ownKeys(globalThis).map(String));

/** Linux lists what is loaded; elsewhere it is not looked at. */
function engineIsLoaded(otherwise: boolean): boolean {
  return process.platform === "linux"
    ? /node_datachannel/.test(readFileSync("/proc/self/maps", "utf8"))
    : otherwise;
}

const { dial, DialOptions } = await import("../../mod.ts");
const globals = Reflect.ownKeys(globalThis).map(String).filter((name) => !before.has(name));
console.log(JSON.stringify({ after: "import", globals, engine: engineIsLoaded(false) }));
const options = DialOptions.withApiKey(apiKey, apiKeyId, { insecure: true });
await (await dial(address, { ...options, disableWebrtc: true })).close();
console.log(JSON.stringify({ after: "direct", engine: engineIsLoaded(false) }));
await (await dial(address, options)).close();
console.log(JSON.stringify({ after: "webrtc", engine: engineIsLoaded(true) }));
