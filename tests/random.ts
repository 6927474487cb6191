/** Repeatable randomness: tests that use it print their seed, and take another from the environment. */

import process from "node:process";

/** Random numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The seed of a run: FUZZ_SEED, or a new one every time. */
export function fuzzSeed(): number {
  const given = process.env["FUZZ_SEED"];
  if (given === undefined || given === "") return Math.floor(Math.random() * 2 ** 32);
  const seed = Number(given);
  if (!Number.isSafeInteger(seed)) throw new Error(`FUZZ_SEED is ${JSON.stringify(given)}, no whole number`);
  return seed;
}

/** Changes, removes and inserts up to four bytes. */
export function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = new Uint8Array(bytes.length + 4);
  copy.set(bytes);
  let { length } = bytes;
  for (let change = Math.floor(random() * 4); change >= 0; change--) {
    const at = Math.floor(random() * (length + 1));
    const byte = Math.floor(random() * 256);
    const kind = random();
    if (kind < 0.5) {
      copy[at] = byte;
      length = Math.max(length, at + 1);
    } else if (kind < 0.75) {
      copy.copyWithin(at, at + 1, length);
      length = Math.max(at, length - 1);
    } else {
      copy.copyWithin(at + 1, at, length++);
      copy[at] = byte;
    }
  }
  return copy.slice(0, length);
}

/** Cuts bytes at random offsets, at none or at every one, including empty pieces. */
export function cutUp(bytes: Uint8Array, random: () => number): Uint8Array[] {
  const cuts = Array.from(
    { length: Math.floor(random() * 6) },
    () => Math.floor(random() * (bytes.length + 1)),
  );
  const bounds = [0, ...cuts.toSorted((one, other) => one - other), bytes.length];
  return bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
}
