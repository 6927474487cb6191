import { RUNTIME } from "../../runtime/runtime.ts";
import { EXIT } from "../exit_code.ts";
import type { Step } from "./ladder.ts";

interface DenoPermissions {
  readonly permissions: { querySync(descriptor: { readonly name: string }): { readonly state: string } };
}

/** The purpose of each permission. */
const NEEDS = [
  ["net", "to reach anything"],
  ["ffi", "to load the WebRTC engine"],
  ["read", "to find the WebRTC engine"],
] as const;

/** Checks that the runtime permits what a dial needs. */
export function checkPermissions(webrtc: boolean): Step<true> {
  if (RUNTIME !== "deno") return { verdict: "ok", detail: `${RUNTIME} forbids nothing`, result: true };
  const { permissions } = (globalThis as unknown as { Deno: DenoPermissions }).Deno;
  const needed = webrtc ? NEEDS : NEEDS.slice(0, 1);
  const missing = needed.filter(([name]) =>
    permissions.querySync({ name }).state === "denied" ||
    permissions.querySync({ name }).state === "prompt"
  );
  if (missing.length === 0) {
    return { verdict: "ok", detail: `Deno permits ${needed.map(([name]) => name).join(", ")}`, result: true };
  }
  const flags = missing.map(([name]) => `--allow-${name}`).join(" ");
  const what = missing.map(([name, purpose]) => `${name} ${purpose}`).join(", ");
  const direct = missing.every(([name]) => name !== "net") ? ", or use --direct" : "";
  return {
    verdict: "failed",
    detail: `Deno does not permit ${what}`,
    advice: `run it with ${flags}${direct}`,
    exitCode: EXIT.forbidden,
  };
}
