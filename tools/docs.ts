/**
 * Checks the documentation of what is public: every name is documented and names public types only, and the examples
 * in README.md and in documentation comments are well typed. Both need a configuration of their own.
 */

import manifest from "../deno.json" with { type: "json" };
import { importsOf, readSource, sourceFiles } from "../tests/project/source.ts";
import { ROOT, run } from "./commands.ts";

const ENTRIES = Object.values(manifest.exports);

/**
 * Deno asks that public types name public types only. What the API takes from elsewhere is left out of that: every
 * package, with its subpaths, and the generated code, which is documented in the .proto files.
 */
async function lint(): Promise<boolean> {
  const nothing = "data:text/javascript,export{}";
  const generated = (await sourceFiles("proto/gen")).map((path) => `file://${ROOT}${path}`);
  const specifiers = (await Promise.all((await sourceFiles("lib")).map(readSource))).flatMap(importsOf);
  const packages = specifiers.filter((specifier) => !/^(?:\.|node:)/.test(specifier));
  const imports = Object.fromEntries([...generated, ...packages].map((specifier) => [specifier, nothing]));
  return await denoWith({ imports }, (file) => ["doc", "--lint", "--import-map", file, ...ENTRIES]);
}

/** Deno puts every export of the file in front of an example, which is more than the example uses. */
async function checkExamples(): Promise<boolean> {
  const self = Object.entries(manifest.exports).map((
    [path, file],
  ) => [manifest.name + path.slice(1), ROOT + file]);
  const configuration = {
    imports: { ...manifest.imports, ...Object.fromEntries(self) },
    compilerOptions: { ...manifest.compilerOptions, noUnusedLocals: false, noUnusedParameters: false },
  };
  return await denoWith(
    configuration,
    (file) => ["check", "--doc-only", "--no-lock", "--config", file, "mod.ts", "lib", "README.md"],
  );
}

async function denoWith(configuration: object, args: (file: string) => string[]): Promise<boolean> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify(configuration));
    return (await run(Deno.execPath(), args(file))).ok;
  } finally {
    await Deno.remove(file);
  }
}

const linted = await lint();
const typed = await checkExamples();
if (!linted || !typed) Deno.exitCode = 1;
