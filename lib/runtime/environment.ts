import { isPermitted } from "./permission.ts";

/** Variables of the environment. */
export interface Environment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** False if some may not be read, so that they may be set all the same. */
  readonly isKnown: boolean;
}

/** Reads variables of the environment. On Deno, those that the program may read already: nobody is asked. */
export function readEnvironment(names: readonly string[]): Environment {
  const { process } = globalThis as unknown as { process?: { env: Record<string, string | undefined> } };
  const variables: Record<string, string | undefined> = {};
  let isKnown = true;
  for (const name of names) {
    if (isPermitted({ name: "env", variable: name })) variables[name] = process?.env[name];
    else isKnown = false;
  }
  return { variables, isKnown };
}
