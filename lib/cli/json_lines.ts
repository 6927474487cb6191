import { UsageError } from "./arguments.ts";
import { messageOf } from "./error_text.ts";

/** Largest line, in characters: the largest message as base64, and as much again. */
const MAX_LINE_LENGTH = 96 * 1024 * 1024;

/** JSON values, one a line, as they come. Empty lines are skipped. */
export async function* readJsonLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let number = 0;
  let parts: string[] = [];
  let length = 0;
  const take = (line: string): { readonly value: unknown } | undefined => {
    number++;
    parts.push(line);
    const text = parts.join("").trim();
    parts = [];
    length = 0;
    return text === "" ? undefined : { value: parseJson(text, `line ${number}`) };
  };
  for await (const chunk of input) {
    const lines = decoder.decode(chunk, { stream: true }).split("\n");
    const rest = lines.pop()!;
    for (const line of lines) {
      const taken = take(line);
      if (taken !== undefined) yield taken.value;
    }
    parts.push(rest);
    length += rest.length;
    if (length > MAX_LINE_LENGTH) throw new UsageError(`The request's line ${number + 1} is too long`);
  }
  const last = take(decoder.decode());
  if (last !== undefined) yield last.value;
}

/** JSON values of a text: one that goes over several lines, or one a line. */
export function parseRequests(text: string): unknown[] {
  try {
    return [JSON.parse(text)];
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    if (lines.length < 2) {
      throw new UsageError(`The request is no JSON: ${messageOf(error)}`, { cause: error });
    }
    return lines.map((line, index) => parseJson(line, `line ${index + 1}`));
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`The request's ${where} is no JSON: ${messageOf(error)}`, { cause: error });
  }
}
