/** The section of docs/components.md that a test writes: which clients of the official SDK were called. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import manifest from "../../package.json" with { type: "json" };

const PAGE = new URL("../../docs/components.md", import.meta.url);
const SECTION = /(?<=<!-- components -->\n)[\s\S]*?(?=<!-- end of components -->)/;

/** The findings of a test. */
export interface CalledClients {
  /** Every client that the SDK has. */
  readonly clients: readonly string[];
  readonly constructed: ReadonlySet<string>;
  readonly called: ReadonlySet<string>;
  /** Those of which a test calls methods of their own component or service, and looks at what passes. */
  readonly typed: readonly string[];
}

function sectionOf({ clients, constructed, called, typed }: CalledClients): string {
  const version = manifest.peerDependencies["@viamrobotics/sdk"];
  const row = (name: string) =>
    `| \`${name}\` | ${typed.includes(name) ? "its own methods" : "one method"} |`;
  return `
\`@viamrobotics/sdk\` ${version} has ${clients.length} clients of components and services. Of these, the tests construct
${constructed.size} and call ${called.size}, over WebRTC and directly, on Deno, Bun and Node:

| client | called by the tests |
| --- | --- |
${clients.filter((name) => called.has(name)).map(row).join("\n")}

`;
}

/** Text without what a formatter changes. */
function plain(text: string): string {
  return text.replaceAll(/-{3,}/g, "---").replaceAll(/\s+/g, " ").trim();
}

/** Compares the section with what was found; with RECORD_COMPONENTS=1 it writes the section. */
export async function holdComponentsPage(found: CalledClients): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const section = sectionOf(found);
  if (process.env["RECORD_COMPONENTS"] === "1") await writeFile(PAGE, page.replace(SECTION, () => section));
  else {
    assert.equal(
      plain(SECTION.exec(page)?.[0] ?? ""),
      plain(section),
      "docs/components.md is stale: run this file with RECORD_COMPONENTS=1, then deno fmt",
    );
  }
}
