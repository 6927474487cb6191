import { Metadata } from "../grpc/metadata.ts";
import { encodeRequestHeaders } from "./packet.ts";

/*
 * Questions whose answers show what was delivered, and that the other side is there (protocol §4.11). The client's is
 * a call that it resets at once: a machine answers it with headers and trailers before the call has a message, so that
 * no method runs and nothing is logged. The machine's is headers for a stream that nobody opened, which clients of this
 * library answer with a reset.
 */

/** A unary method that viam-server has. It logs calls of methods that it does not have. */
export const QUESTION_METHOD = "/viam.robot.v1.RobotService/GetOperations";

const metadata = new Metadata();

/** Encodes the first half of a client's question; the reset of the same stream is the other. */
export function encodeQuestion(stream: number): Uint8Array {
  return encodeRequestHeaders(stream, QUESTION_METHOD, metadata, undefined, true);
}

/** The first stream of a machine's questions, which no client gets to by counting from 1. */
export const FIRST_MACHINE_QUESTION: number = 2 ** 52;

/** True if a stream is that of a machine's question. */
export function isMachineQuestion(stream: number): boolean {
  return stream >= FIRST_MACHINE_QUESTION;
}
