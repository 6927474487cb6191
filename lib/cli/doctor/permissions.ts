import type { DialPlan } from "../../core/dial/plan.ts";
import { isPermitted, type PermissionRequest } from "../../runtime/permission.ts";
import { RUNTIME } from "../../runtime/runtime.ts";
import { EXIT } from "../exit_code.ts";
import { failed, type Finding } from "./ladder.ts";

function needsOf(plan: DialPlan): readonly (readonly [need: PermissionRequest, purpose: string])[] {
  const path = plan.kind === "direct" ? plan.target.unixPath : undefined;
  return [
    [{ name: "net" }, "to reach anything"],
    ...(plan.kind === "direct" ? [] : [
      [{ name: "ffi" }, "to load the WebRTC engine"],
      [{ name: "read" }, "to find the WebRTC engine"],
    ] as const),
    ...(path === undefined ? [] : [
      [{ name: "read", path }, "to open the Unix socket"],
      [{ name: "write", path }, "to open the Unix socket"],
    ] as const),
  ];
}

/** Checks that the runtime permits what a dial needs. */
export function checkPermissions(plan: DialPlan): Finding {
  if (RUNTIME !== "deno") return { verdict: "ok", detail: `${RUNTIME} forbids nothing` };
  const needs = needsOf(plan);
  const missing = needs.filter(([need]) => !isPermitted(need));
  if (missing.length === 0) {
    return {
      verdict: "ok",
      detail: `Deno permits ${needs.map(([{ name }]) => name).join(", ")}`,
    };
  }
  const flags = missing.map(([{ name }]) => `--allow-${name}`).join(" ");
  const what = missing.map(([{ name }, purpose]) => `${name} ${purpose}`).join(", ");
  const direct = plan.kind === "webrtc" && missing.every(([{ name }]) => name !== "net")
    ? ", or use --direct"
    : "";
  return failed(`Deno does not permit ${what}`, {
    advice: `run it with ${flags}${direct}`,
    exitCode: EXIT.forbidden,
  });
}
