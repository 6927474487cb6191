import { UsageError } from "./arguments.ts";

/** The reasons why a port cannot be used, by the code of the system. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there",
  EACCES: "this user may not",
  EADDRNOTAVAIL: "this computer has no such address",
  EINVAL: "this computer has no such address",
  ENOTFOUND: "the name cannot be resolved",
  EAI_AGAIN: "the name cannot be resolved",
};

/**
 * Waits until a server listens.
 *
 * @param where The requested address, for messages.
 * @throws {UsageError} when it cannot listen there
 */
export async function listening<T>(where: string, started: Promise<T>): Promise<T> {
  try {
    return await started;
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    const reason = typeof code === "string" ? REASONS[code] : undefined;
    if (reason === undefined) throw error;
    throw new UsageError(`Cannot listen on ${where}: ${reason} (${code})`, { cause: error });
  }
}
