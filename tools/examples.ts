/** The examples of the documentation, as programs. */

/** A block of TypeScript in the documentation. */
export interface Example {
  /** Its place, for messages. */
  readonly place: string;
  readonly text: string;
}

/** Values that replace what a reader fills in. */
export interface Replacements {
  /** The address of a machine that speaks TLS. */
  readonly address: string;
  readonly apiKey: string;
  readonly apiKeyId: string;
  /** Path of the certificate of the authority that signed the machine's certificate, PEM. */
  readonly ca: string;
  /** The folder of the generated code. */
  readonly generated: string;
}

const ADDRESSES = /"(?:my-robot-main\.abcdef\.viam\.cloud|my-robot\.local:8080|192\.168\.1\.20:8080)"/g;

/** Turns an example into a program with a machine's address and key. */
export function exampleProgram(text: string, replacements: Replacements): string {
  const { address, apiKey, apiKeyId, ca, generated } = replacements;
  return text
    .replaceAll(ADDRESSES, JSON.stringify(address))
    .replaceAll('"<API-KEY>"', JSON.stringify(apiKey))
    .replaceAll('"<API-KEY-ID>"', JSON.stringify(apiKeyId))
    .replaceAll('"ca.pem"', JSON.stringify(ca))
    .replaceAll('"./gen/', `"${generated}/`);
}

/** Every `ts` block of a Markdown text. */
export function markdownExamples(path: string, text: string): Example[] {
  return [...text.matchAll(/^```ts[^\n]*\n([\s\S]*?)^```$/gm)].map((match) => {
    const line = text.slice(0, match.index).split("\n").length;
    return { place: `${path}:${line}`, text: match[1]! };
  });
}

/** The runtime whose tests an example is; undefined if it is a program. */
export function testsFor(text: string): "Deno" | "Bun" | undefined {
  return text.includes("Deno.test(") ? "Deno" : text.includes('"bun:test"') ? "Bun" : undefined;
}
