/** Dials, and reports how it failed: `dial_and_report.ts '{"address": …, "options": {…}}'`. */

import process from "node:process";
import { inspect } from "node:util";
import { dial, DialPermissionError } from "../../../mod.ts";

const { address, options } = JSON.parse(process.argv[2]!);
try {
  await (await dial(address, options)).close();
  console.log(JSON.stringify({ connected: true }));
} catch (error) {
  const { name, message, phase, code } = error as DialPermissionError;
  const flag = error instanceof DialPermissionError ? error.flag : undefined;
  console.log(JSON.stringify({ name, message, phase, code, flag, shown: inspect(error) }));
}
