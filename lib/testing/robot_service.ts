import { GetMachineStatusResponse_State, RobotService } from "../../proto/gen/viam/robot/v1/robot_pb.ts";
import { API_VERSION, VERSION } from "../runtime/version.ts";
import type { Routes } from "../server/routes.ts";
import type { Sessions } from "./sessions.ts";

const RESOURCES = [
  { namespace: "rdk", type: "component", subtype: "sensor", name: "thermometer" },
  { namespace: "rdk", type: "component", subtype: "motor", name: "wheel" },
];

/**
 * The methods of `RobotService` that the SDKs' robot clients call on every machine; the others are `Unimplemented`.
 *
 * @param sessions The methods that keep sessions.
 */
export function robotRoutes(sessions: Sessions["methods"]): Routes {
  return (router) => {
    router.service(RobotService, {
      ...sessions,
      getOperations: () => ({ operations: [] }),
      resourceNames: () => ({ resources: RESOURCES }),
      getVersion: () => ({ platform: "viam-dial", version: VERSION, apiVersion: `v${API_VERSION}` }),
      getMachineStatus: () => ({ state: GetMachineStatusResponse_State.RUNNING }),
    });
  };
}
