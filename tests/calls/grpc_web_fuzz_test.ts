/** Answers of broken and hostile servers over HTTP. A run says its seed; `FUZZ_SEED=n` repeats it. */

import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, TRAILERS } from "../../lib/core/grpc/envelope.ts";
import { EndingListener } from "../../lib/direct/call_ending.ts";
import { ReadingGate, readResponse } from "../../lib/direct/fetch_response.ts";
import { test } from "../harness.ts";
import { cutUp, fuzzSeed, mutate, randomFrom } from "../random.ts";

const seed = fuzzSeed();
const BODIES = 50_000;
const MAX_MESSAGE_BYTES = 1_000;

/** A sound body: up to three messages, then trailers. Returns its messages' lengths and its status. */
function soundBody(random: () => number): { bytes: Uint8Array; lengths: number[]; status: number } {
  const lengths = Array.from({ length: Math.floor(random() * 4) }, () => Math.floor(random() * 40));
  const status = random() < 0.5 ? 0 : Math.floor(random() * 17);
  const trailers = encodeEnvelope(
    new TextEncoder().encode(`grpc-status: ${status}\r\ngrpc-message:m%20n\r\n`),
  );
  trailers[0] = TRAILERS;
  const frames = [...lengths.map((length) => encodeEnvelope(new Uint8Array(length).fill(7))), trailers];
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  return { bytes, lengths, status };
}

interface Heard {
  headers: number;
  readonly lengths: number[];
  readonly ends: (ConnectError | undefined)[];
}

async function read(pieces: readonly Uint8Array[], lengthKnown: boolean): Promise<Heard> {
  const heard: Heard = { headers: 0, lengths: [], ends: [] };
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const body = new ReadableStream({
    type: "bytes",
    start(controller) {
      for (const piece of pieces) {
        // A view of its own, as a network gives it.
        if (piece.length > 0) controller.enqueue(piece.slice());
      }
      controller.close();
    },
  });
  const response = new Response(body, {
    headers: {
      "content-type": "application/grpc-web+proto",
      ...(lengthKnown ? { "content-length": String(length) } : {}),
    },
  });
  const listener = new EndingListener({
    headers: () => {
      heard.headers++;
    },
    message: (bytes) => {
      heard.lengths.push(bytes.length);
    },
    end: ({ error }) => {
      heard.ends.push(error);
    },
  });
  await readResponse(response, listener, new ReadingGate(), { maxMessageBytes: MAX_MESSAGE_BYTES });
  return heard;
}

test(
  `the gRPC-Web reader takes ${BODIES} bodies, sound, mutated and random (FUZZ_SEED=${seed})`,
  async () => {
    const random = randomFrom(seed);
    const codes = new Map<string, number>();
    for (let round = 0; round < BODIES; round++) {
      try {
        const sound = soundBody(random);
        const kind = random();
        const bytes = kind < 0.3
          ? sound.bytes
          : kind < 0.9
          ? mutate(sound.bytes, random)
          : Uint8Array.from({ length: Math.floor(random() * 60) }, () => random() * 256);
        const heard = await read(cutUp(bytes, random), random() < 0.3);
        assert.equal(heard.headers, 1);
        assert.equal(heard.ends.length, 1, "a call ends once");
        for (const length of heard.lengths) assert.ok(length <= MAX_MESSAGE_BYTES);
        const [error] = heard.ends;
        assert.ok(error === undefined || error instanceof ConnectError);
        const code = error === undefined ? "Ok" : Code[error.code];
        codes.set(code, (codes.get(code) ?? 0) + 1);
        if (kind >= 0.3) continue;
        assert.deepEqual(heard.lengths, sound.lengths);
        assert.equal(error?.code ?? 0, sound.status);
        if (error !== undefined) assert.equal(error.rawMessage, "m n");
      } catch (error) {
        throw new Error(`FUZZ_SEED=${seed}, body ${round}`, { cause: error });
      }
    }
    assert.ok(codes.get("Ok")! > 1_000 && codes.get("Internal")! > 1_000, JSON.stringify([...codes]));
    assert.ok(codes.get("ResourceExhausted")! > 1_000, JSON.stringify([...codes]));
  },
  { timeoutMs: 200_000 },
);
