import { UsageError } from "./arguments.ts";
import { messageOf } from "./error_text.ts";

/** The longest line, in characters: the largest message as base64, and as much again. */
const MAX_LINE_LENGTH = 96 * 1024 * 1024;

/** Reads JSON values from a stream, one a line, as they arrive. Skips empty lines. */
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
    return text === "" ? undefined : { value: parseJson(text, `Request line ${number}`) };
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
    if (length > MAX_LINE_LENGTH) throw new UsageError(`Request line ${number + 1} is too long`);
  }
  const last = take(decoder.decode());
  if (last !== undefined) yield last.value;
}

/** Reads JSON values from a text: one value, on any number of lines, or one value a line. */
export function parseRequests(text: string): unknown[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length < 2 || isJson(text)) return [parseJson(text, "The request")];
  return lines.map((line, index) => parseJson(line, `Request line ${index + 1}`));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** From ECMAScript's "JSON.parse source text access", which TypeScript's types lack. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/** @param what The text's name in a message. */
function parseJson(text: string, what: string): unknown {
  const exact: Reviver = (_key, value, context) =>
    typeof value === "number" && context?.source !== undefined ? exactNumber(value, context.source) : value;
  try {
    return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${what} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Returns an integer that a double would round as a bigint, which `requestMessage` understands.
 *
 * @param source The number as JSON has it.
 */
function exactNumber(value: number, source: string): number | bigint {
  if (!Number.isFinite(value)) throw new UsageError(`The request has a number out of range: ${source}`);
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(
    source,
  )!;
  const digits = `${whole}${fraction}`.replace(/^0+|0+$/g, "");
  const trailingZeros = /0*$/.exec(`${whole}${fraction}`)![0].length;
  const power = Number(exponent) - fraction.length + trailingZeros;
  if (digits === "" || power < 0) return value;
  const integer = BigInt(`${sign}${digits}${"0".repeat(power)}`);
  return integer === BigInt(value) ? value : integer;
}
