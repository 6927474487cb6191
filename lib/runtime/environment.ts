import { isPermitted } from "./permission.ts";

/** Reads variables of the environment. On Deno, those that the program may read already: nobody is asked. */
export function readEnvironment(names: readonly string[]): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as unknown as { process?: { env: Record<string, string | undefined> } };
  const permitted = names.filter((variable) => isPermitted({ name: "env", variable }));
  return Object.fromEntries(permitted.map((name) => [name, process?.env[name]]));
}
