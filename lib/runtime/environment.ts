/** Variables of the environment. */
export interface Environment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** False if some may not be read, so that they may be set all the same. */
  readonly isKnown: boolean;
}

interface DenoEnvironment {
  readonly env: { get(name: string): string | undefined };
  readonly permissions: {
    querySync(descriptor: { readonly name: "env"; readonly variable: string }): { readonly state: string };
  };
}

/** Reads variables of the environment. On Deno, those that the program may read already: nobody is asked. */
export function readEnvironment(names: readonly string[]): Environment {
  const { Deno: deno } = globalThis as unknown as { Deno?: DenoEnvironment };
  const { process } = globalThis as unknown as { process?: { env: Record<string, string | undefined> } };
  const variables: Record<string, string | undefined> = {};
  let isKnown = true;
  for (const name of names) {
    if (deno === undefined) variables[name] = process?.env[name];
    else if (deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") isKnown = false;
    else variables[name] = deno.env.get(name);
  }
  return { variables, isKnown };
}
