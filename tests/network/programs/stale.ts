/** Answers for a machine that is gone, with an address that nobody has. */

import { advertisedRecords, answersTo } from "../../../lib/core/net/mdns_records.ts";
import { openMdns } from "../../../lib/mdns/mdns.ts";
import { answerCommands, startedWith } from "./answer.ts";

const records = advertisedRecords(startedWith());
const sockets = await openMdns({
  query({ questions }, via) {
    const { answers, additionals } = answersTo(questions, records);
    if (answers.length > 0) via.answer(answers, additionals);
  },
});
await answerCommands({}, "ready", () => sockets.close());
