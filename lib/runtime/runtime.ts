/** The runtimes that are told apart. */
export type Runtime = "deno" | "bun" | "node";

/** Which runtime this is. The only place that asks; elsewhere it is a value that is passed down. */
export const RUNTIME: Runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
