/** The supported runtimes. */
export type Runtime = "deno" | "bun" | "node";

/** The current runtime. Only this file detects it; elsewhere it is passed as a value. */
export const RUNTIME: Runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
