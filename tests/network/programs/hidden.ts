/**
 * A machine behind a signaling server that hides its addresses, as browsers do: its candidates contain names, for which
 * it answers by multicast DNS (draft-ietf-mmusic-mdns-ice-candidates).
 */

import { openMdns } from "../../../lib/mdns/mdns.ts";
import { MAX_MESSAGE_BYTES } from "../../../lib/core/limits.ts";
import { createAnswerer } from "../../../lib/testing/answerer.ts";
import { createChannelServer } from "../../../lib/testing/channel_server.ts";
import { startCloudAnswerer } from "../../../lib/testing/cloud_answerer.ts";
import { probeRoutes } from "../../../lib/testing/probe_service.ts";
import { recordRoutes } from "../../../lib/server/routes.ts";
import { createWitness } from "../../../lib/testing/witness.ts";
import { answerCommands, startedWith } from "./answer.ts";

/** Names by address, and addresses by name. */
const names = new Map<string, string>(), addresses = new Map<string, string>();

function hidden(candidate: string): string {
  const parts = candidate.split(" ");
  const address = parts[4]!;
  let name = names.get(address);
  if (name === undefined) {
    name = `${crypto.randomUUID()}.local`;
    names.set(address, name);
    addresses.set(name, address);
  }
  parts[4] = name;
  return parts.join(" ");
}

const sockets = await openMdns({
  query({ questions }, via) {
    const answers = questions.flatMap(({ type, name }) => {
      const data = type === "A" ? addresses.get(name.toLowerCase()) : undefined;
      return data === undefined || data.includes(":") ? [] : [{ type: "A", name, ttl: 120, data }];
    });
    if (answers.length > 0) via.answer(answers);
  },
});
const witness = createWitness();
const methods = witness.watch(recordRoutes(probeRoutes(witness)));
const answerer = createAnswerer({
  serve: (peer, isAnswering) =>
    createChannelServer(peer, { isAnswering, methods, maxMessageBytes: MAX_MESSAGE_BYTES }),
});
const stopAnswering = startCloudAnswerer(startedWith(), () => ({
  answer: (offer) =>
    answerer.answer({
      ...offer,
      candidate: (found) => offer.candidate({ ...found, candidate: hidden(found.candidate) }),
    }),
  get live() {
    return answerer.live;
  },
  close: () => answerer.close(),
}));
await answerCommands({ hidden: () => addresses.size }, "ready", async () => {
  await stopAnswering();
  await answerer.close();
  await sockets.close();
});
