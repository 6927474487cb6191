import { advertisedRecords, type Advertisement, answersTo } from "../core/net/mdns_records.ts";
import { openMdns } from "../mdns/mdns.ts";

/** A machine's presence on the local network. */
export interface MdnsAdvertiser {
  /** Says goodbye, and closes. */
  close(): Promise<void>;
}

/** Times of the announcements, in milliseconds from the start (RFC 6762 §8.3). */
const ANNOUNCE_AT_MS = [0, 1_000];

/** Answers queries for a machine, on every interface with the interface's own address. */
export async function advertiseMachine(machine: Omit<Advertisement, "address">): Promise<MdnsAdvertiser> {
  const sockets = await openMdns({
    query({ questions }, via) {
      const { answers, additionals } = answersTo(
        questions,
        advertisedRecords({ ...machine, address: via.address }),
      );
      if (answers.length > 0) via.answer(answers, additionals);
    },
  });
  const tell = (goodbye: boolean) => {
    for (const via of sockets.interfaces) {
      via.answer(advertisedRecords({ ...machine, address: via.address }, { goodbye }));
    }
  };
  const timers = ANNOUNCE_AT_MS.map((at) => setTimeout(tell, at, false));
  return {
    async close() {
      for (const timer of timers) clearTimeout(timer);
      tell(true);
      await sockets.close();
    },
  };
}
