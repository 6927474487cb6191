/** The client under test, for the lane in its argument. The runner tells it which calls to make. */

import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { makeCall } from "./call.ts";
import { type Lane, Transports } from "./lanes.ts";
import { readMessages, writeMessage } from "./pipe.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
} from "./protocol.ts";

/** Calls at once. */
const PARALLEL = 8;

const transports = new Transports(process.argv[2] as Lane);
const running = new Set<Promise<void>>();

async function answer(request: ClientCompatRequest): Promise<void> {
  const { testName } = request;
  let response;
  try {
    const result = await makeCall(request, await transports.of(request));
    response = create(ClientCompatResponseSchema, { testName, result: { case: "response", value: result } });
  } catch (error) {
    const message = error instanceof Error ? `${error.stack}` : String(error);
    response = create(ClientCompatResponseSchema, {
      testName,
      result: { case: "error", value: { message } },
    });
  }
  await writeMessage(ClientCompatResponseSchema, response);
}

for await (const request of readMessages(ClientCompatRequestSchema)) {
  const one = answer(request).finally(() => running.delete(one));
  running.add(one);
  if (running.size >= PARALLEL) await Promise.race(running);
}
await Promise.all(running);
await transports.close();
