import assert from "node:assert/strict";
import { getOption } from "@bufbuild/protobuf";
import { MONITORED_METHODS } from "../../lib/core/session/monitored_methods.ts";
import { dialDirect } from "../../mod.ts";
import { safety_heartbeat_monitored } from "../../proto/gen/viam/common/v1/common_pb.ts";
import { test } from "../harness.ts";
import { startPythonServer } from "./python_server.ts";
import { missing } from "./requirements.ts";

test(
  "MONITORED_METHODS are those that reflection of a server with the whole Viam API marks",
  async () => {
    await using server = await startPythonServer("api.py");
    await using channel = await dialDirect(`127.0.0.1:${server.port}`, { insecure: true });
    const { services, undescribed } = await channel.reflect();
    assert.deepEqual(undescribed, []);
    assert.ok(services.some(({ typeName }) => typeName === "viam.service.motion.v1.MotionService"));
    const marked = services.flatMap(({ methods }) => methods)
      .filter((method) => getOption(method, safety_heartbeat_monitored))
      .map((method) => `/${method.parent.typeName}/${method.name}`);
    assert.deepEqual(marked.toSorted(), [...MONITORED_METHODS].toSorted());
  },
  { timeoutMs: 300_000, skip: missing("python3") },
);
