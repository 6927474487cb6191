#!/usr/bin/env bun
/**
 * The command line: `ping`, `doctor`, `list`, `describe`, `call`, `proxy` and `serve`. docs/command-line.md says
 * what each does and how it exits.
 *
 * @example
 * ```ts
 * import { processTerminal, runCommandLine } from "@viam-dial/dial/cli";
 *
 * const exitCode = await runCommandLine(["--version"], processTerminal());
 * console.log(exitCode); // 0
 * ```
 *
 * @module
 */
import process from "node:process";
import { runCommandLine } from "./run.ts";
import { processTerminal } from "./terminal.ts";

export { processTerminal, runCommandLine };
export type { Terminal } from "./terminal.ts";

if (import.meta.main) process.exit(await runCommandLine(process.argv.slice(2), processTerminal()));
