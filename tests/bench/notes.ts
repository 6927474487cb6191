/** What bounds a target's figure and what was tried, by the key in `targets.ts`: merged into the table. */
export const notes: Readonly<Record<string, string>> = {};

/** What profiles have shown, a paragraph each. */
export const profiles: readonly string[] = [];
