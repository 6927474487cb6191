/** One test file, three runtimes: `test` is `Deno.test` on Deno, `bun:test` on Bun and `node:test` on Node. */

import { RUNTIME } from "../lib/runtime/runtime.ts";

/** The current runtime. */
export const runtime: "deno" | "bun" | "node" = RUNTIME;

/** Settings of a test. */
export interface TestOptions {
  /** Runs without any permission on Deno. */
  readonly pure?: boolean;
  /** Fails the test when it takes longer, in milliseconds; 30,000 by default. */
  readonly timeoutMs?: number;
  /** The reason why the test cannot run here; it is reported as skipped, with this text in its name. */
  readonly skip?: string | undefined;
}

type BunTest = ((name: string, fn: () => Promise<void>, timeoutMs: number) => void) & {
  skip: (name: string, fn: () => void) => void;
};

const bunTest: BunTest | undefined = runtime === "bun"
  ? (await import(["bun", "test"].join(":"))).test as BunTest
  : undefined;

type NodeTest = (
  name: string,
  options: { readonly skip: boolean; readonly timeout: number },
  fn: () => Promise<void>,
) => void;

const nodeTest: NodeTest | undefined = runtime === "node"
  ? (await import(["node", "test"].join(":"))).test as NodeTest
  : undefined;

/** The file whose tests are being registered, if it shares its process. */
let sharing: string | undefined;

/** Loads a file that shares its process with others: its name stands before the titles of its tests. */
export async function loadTests(file: string, load: () => Promise<unknown>): Promise<void> {
  sharing = file;
  try {
    await load();
  } catch (error) {
    test("loads", () => {
      throw error;
    });
  }
}

/** Registers a test. */
export function test(name: string, fn: () => void | Promise<void>, options: TestOptions = {}): void {
  const { pure = false, timeoutMs = 30_000, skip } = options;
  const own = skip === undefined ? name : `${name} [skipped: ${skip}]`;
  const title = sharing === undefined ? own : `${sharing}: ${own}`;
  const bounded = () => within(timeoutMs, fn);
  if (bunTest !== undefined) {
    if (skip !== undefined) bunTest.skip(title, () => {});
    else bunTest(title, bounded, timeoutMs + 5_000);
  } else if (nodeTest !== undefined) {
    nodeTest(title, { skip: skip !== undefined, timeout: timeoutMs + 5_000 }, bounded);
  } else {
    Deno.test({
      name: title,
      ignore: skip !== undefined,
      permissions: pure ? "none" : "inherit",
      fn: () => bounded().catch(report),
    });
  }
}

/**
 * Writes an error at once. Deno writes it at the end of the file, and crashes before that if the failed test has left a
 * WebRTC connection open: it then runs callbacks of channels that it has destroyed.
 */
function report(error: unknown): never {
  console.error(error);
  throw error;
}

/** Runs `fn`, and rejects if it has not settled after `timeoutMs`. */
export async function within<T>(timeoutMs: number, fn: () => T | Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not settled after ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([fn(), promise]);
  } finally {
    clearTimeout(timer);
  }
}
