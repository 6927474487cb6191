/** A worker on Deno or Bun. Its argument names its subject. */

import process from "node:process";
import { makers } from "./makers.ts";
import { serve } from "./worker_loop.ts";

const maker = makers[process.argv[2] ?? ""];
if (maker === undefined) throw new Error(`no such subject: ${process.argv[2]}`);
await serve(maker);
