/** Citations of docs/protocol.md, such as "protocol §3.4, rule 6". */

/** A section, and the numbers of its rules, steps or rows. */
export interface Citation {
  readonly section: string;
  readonly items: readonly number[];
}

/** Each section by its number, with the numbers that its lists and tables have. */
export type Sections = ReadonlyMap<string, ReadonlySet<number>>;

// Comments break lines anywhere: white space may hold their decoration.
const GAP = String.raw`(?:\s|\n\s*(?:\*|//|#)\s*)+`;
const ITEMS = String.raw`(?:,${GAP}(?:(?:rules?|steps?)${GAP})?|${GAP}#)(\d+)(?:${GAP}and${GAP}(\d+))?`;
const SECTION = String.raw`§(\d+(?:\.\d+)?)(?:${ITEMS})?`;
const CITATION = new RegExp(`protocol${GAP}${SECTION}(?:(?:,|${GAP}and)${GAP}§\\d+(?:\\.\\d+)?)*`, "gi");

/** Every citation in a text, in order. */
export function citationsOf(text: string): Citation[] {
  return Array.from(text.matchAll(CITATION)).flatMap(([whole]) =>
    Array.from(whole.matchAll(new RegExp(SECTION, "g")), ([, section, ...items]) => ({
      section: section!,
      items: items.filter((item) => item !== undefined).map(Number),
    }))
  );
}

/** The sections of the page. The items of a section include those of its subsections. */
export function sectionsOf(page: string): Sections {
  const sections = new Map<string, Set<number>>();
  let open: string[] = [];
  for (const line of page.split("\n")) {
    const number = /^#{2,3} (\d+(?:\.\d+)?)\.? /.exec(line)?.[1];
    if (number !== undefined) {
      open = [...new Set([number.split(".")[0]!, number])];
      for (const section of open) if (!sections.has(section)) sections.set(section, new Set());
    }
    const item = /^(?:(\d+)\. |\| (\d+) +\|)/.exec(line);
    if (item !== null) { for (const section of open) sections.get(section)!.add(Number(item[1] ?? item[2])); }
  }
  return sections;
}

/** True if the page has the section that a citation names. */
export function isCited(sections: Sections, { section, items }: Citation): boolean {
  const numbers = sections.get(section);
  return numbers !== undefined && items.every((item) => numbers.has(item));
}
