import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { GetMachineStatusResponse_State, RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
import { isUuid } from "../core/uuid.ts";
import { API_VERSION, VERSION } from "../runtime/version.ts";
import type { Routes } from "../server/routes.ts";

/** How long a session outlives its last sign of life, in milliseconds: viam-server's default (protocol §6.2). */
const SESSION_WINDOW_MS = 2_000;

/** Sessions that a machine remembers (protocol §6.2). */
const MAX_SESSIONS = 1_024;

const RESOURCES = [
  { namespace: "rdk", type: "component", subtype: "sensor", name: "thermometer" },
  { namespace: "rdk", type: "component", subtype: "motor", name: "wheel" },
];

/** What the SDKs' robot clients ask of every machine; the service's other methods are `Unimplemented`. */
export function robotRoutes(now: () => number = Date.now): Routes {
  /** When each session expires. */
  const sessions = new Map<string, number>();

  function extend(id: string): void {
    sessions.delete(id);
    sessions.set(id, now() + SESSION_WINDOW_MS);
  }

  function isLive(id: string): boolean {
    const expiry = sessions.get(id);
    return expiry !== undefined && expiry > now();
  }

  return (router) => {
    router.service(RobotService, {
      getOperations: () => ({ operations: [] }),
      resourceNames: () => ({ resources: RESOURCES }),
      getVersion: () => ({ platform: "viam-dial", version: VERSION, apiVersion: `v${API_VERSION}` }),
      getMachineStatus: () => ({ state: GetMachineStatusResponse_State.RUNNING }),
      startSession({ resume }) {
        if (resume !== "" && !isUuid(resume)) {
          throw new ConnectError(`invalid UUID ${JSON.stringify(resume)}`, Code.InvalidArgument);
        }
        const id = isLive(resume) ? resume : crypto.randomUUID();
        extend(id);
        if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value!);
        return { id, heartbeatWindow: durationFromMs(SESSION_WINDOW_MS) };
      },
      sendSessionHeartbeat({ id }) {
        if (!isLive(id)) throw new ConnectError("SESSION_EXPIRED", Code.InvalidArgument);
        extend(id);
        return {};
      },
    });
  };
}
