import assert from "node:assert/strict";
import type { LifeSign } from "../../lib/rpc/life.ts";
import { watchLiveness } from "../../lib/webrtc/liveness.ts";
import { test } from "../harness.ts";

test("watchLiveness() tells that a replaced connection is idle once its calls have ended, though nothing was heard", async () => {
  let calls = 1;
  const watch = watchLiveness({
    look: () => ({ calls, sent: 0, waiting: 0, received: 0, roundTripMs: 1 }),
    ask: () => {},
    ping: () => Promise.resolve(),
    lost: () => assert.fail("its engine answers"),
    roundTripMs: 1,
  });
  const signOf = () => new Promise<LifeSign>((resolve) => watch.life.listen(resolve));
  watch.calling();
  await signOf(); // it is suspected, or doubted on a busy computer
  const sign = signOf();
  watch.life.replace();
  calls = 0;
  assert.equal(await sign, "idle");
  watch.stop();
});
