import { advertisedRecords, type Advertisement, answersTo } from "../core/net/mdns_records.ts";
import { openMdns } from "../mdns/mdns.ts";

/** Times of the announcements, in milliseconds from the start (RFC 6762 §8.3). */
const ANNOUNCE_AT_MS = [0, 1_000];

/**
 * Answers queries for a machine, on every interface with the interface's own address.
 *
 * @returns A function that says goodbye, and closes.
 */
export async function advertiseMachine(
  machine: Omit<Advertisement, "address">,
): Promise<() => Promise<void>> {
  const sockets = await openMdns({
    query({ questions }, via) {
      const records = advertisedRecords({ ...machine, address: via.address });
      const { answers, additionals } = answersTo(questions, records);
      if (answers.length > 0) via.answer(answers, additionals);
    },
  });
  const tell = (goodbye: boolean) => {
    for (const via of sockets.interfaces) {
      via.answer(advertisedRecords({ ...machine, address: via.address }, { goodbye }));
    }
  };
  const timers = ANNOUNCE_AT_MS.map((at) => setTimeout(tell, at, false));
  return async () => {
    for (const timer of timers) clearTimeout(timer);
    tell(true);
    await sockets.close();
  };
}
