/** The ways that calls go, as options of a dial. */

import type { DialOptions } from "../../mod.ts";

/** A way to a machine. */
export interface CallLane {
  readonly name: string;
  readonly options: DialOptions;
}

export const lanes: readonly CallLane[] = [
  { name: "WebRTC", options: { insecure: true } },
  {
    name: "fetch",
    options: { insecure: true, disableWebrtc: true, protocol: "grpc-web" },
  },
  { name: "node:http2", options: { insecure: true, disableWebrtc: true } },
];

/** Waits until something holds; the test's own bound ends the wait. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
