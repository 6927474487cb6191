/**
 * Checks the documentation. Every public name must be documented and must name public types only, and must have an
 * example where it can be used. Every example, there and in README.md and docs, must be well typed and run on Deno and
 * on Bun, against a machine whose address and key replace the placeholders. `deno test --doc` cannot do that: it gives
 * each example an isolate of its own in one process, and a native add-on does not survive its second isolate; it also
 * knows nothing of Bun.
 */

import manifest from "../deno.json" with { type: "json" };
import { robotRoutes } from "../examples/robot.ts";
import { startMachine } from "../lib/testing/mod.ts";
import { makeCertificates } from "../tests/certificates.ts";
import { importsOf, readSource, sourceFiles } from "../tests/project/source.ts";
import { bunPath, installPackages, output, ROOT, run } from "./commands.ts";
import { commentExamples, type Documentation, undocumented } from "./documented_symbols.ts";
import { type Example, exampleProgram, markdownExamples, type Replacements, testsFor } from "./examples.ts";

const ENTRIES = Object.values(manifest.exports);

/** Inside the project, so that Bun finds the packages; not committed. */
const FOLDER = ".cache/examples";

const PARALLEL = 2;
const EXAMPLE_TIMEOUT_MS = 120_000;
const PERMISSIONS = ["--allow-net", "--allow-ffi", "--allow-read", "--allow-env"];

/**
 * Runs `deno doc --lint`, which wants public types to name public types only. Types from elsewhere are left out: those
 * of packages, with their subpaths, and the generated code, which is documented in the .proto files.
 */
async function lint(): Promise<boolean> {
  const nothing = "data:text/javascript,export{}";
  const generated = (await sourceFiles("proto/gen")).map((path) => `file://${ROOT}${path}`);
  const specifiers = (await Promise.all((await sourceFiles("lib")).map(readSource))).flatMap(importsOf);
  const packages = specifiers.filter((specifier) => !/^(?:\.|node:)/.test(specifier));
  const imports = Object.fromEntries([...generated, ...packages].map((specifier) => [specifier, nothing]));
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify({ imports }));
    return (await run(Deno.execPath(), ["doc", "--lint", "--import-map", file, ...ENTRIES])).ok;
  } finally {
    await Deno.remove(file);
  }
}

async function documentation(): Promise<Documentation> {
  return JSON.parse(await output(Deno.execPath(), ["doc", "--json", ...ENTRIES]));
}

async function pages(): Promise<Example[]> {
  const names = [...Deno.readDirSync(`${ROOT}docs`)].map(({ name }) => `docs/${name}`).filter((name) =>
    name.endsWith(".md")
  );
  const all = ["README.md", ...names.toSorted()];
  return (await Promise.all(all.map(async (path) => markdownExamples(path, await readSource(path))))).flat();
}

interface Program {
  readonly place: string;
  readonly file: string;
  readonly only: "Deno" | "Bun" | undefined;
}

async function write(examples: readonly Example[], replacements: Replacements): Promise<Program[]> {
  await Deno.remove(ROOT + FOLDER, { recursive: true }).catch(() => {});
  await Deno.mkdir(ROOT + FOLDER, { recursive: true });
  return await Promise.all(examples.map(async ({ place, text }, index) => {
    const only = testsFor(text);
    const name = `${place.replaceAll(/\W+/g, "_")}_${index}${only === undefined ? "" : ".test"}.ts`;
    // This makes it a module even if it imports nothing.
    await Deno.writeTextFile(
      `${ROOT}${FOLDER}/${name}`,
      `${exampleProgram(text, replacements)}\nexport {};\n`,
    );
    return { place, file: `${FOLDER}/${name}`, only };
  }));
}

/** Deno's own configuration leaves the folder out, and refuses unused names, which an example may have. */
async function writeConfiguration(): Promise<string> {
  const self = Object.entries(manifest.exports).map((
    [path, file],
  ) => [manifest.name + path.slice(1), `file://${ROOT}${file}`]);
  const file = `${ROOT}${FOLDER}/deno.json`;
  await Deno.writeTextFile(
    file,
    JSON.stringify({
      imports: { ...manifest.imports, ...Object.fromEntries(self) },
      nodeModulesDir: "none",
      compilerOptions: { ...manifest.compilerOptions, noUnusedLocals: false, noUnusedParameters: false },
    }),
  );
  return file;
}

/** Runs a program on a runtime; returns its output if it failed. */
async function failureOf(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<string | undefined> {
  const expired = AbortSignal.timeout(EXAMPLE_TIMEOUT_MS);
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd: ROOT,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    signal: expired,
  }).output();
  if (success) return undefined;
  const decoder = new TextDecoder();
  const late = expired.aborted ? `not done after ${EXAMPLE_TIMEOUT_MS} ms\n` : "";
  return `${late}${decoder.decode(stdout)}${decoder.decode(stderr)}`;
}

async function runExamples(examples: readonly Example[]): Promise<boolean> {
  const certificates = await makeCertificates();
  try {
    await using machine = await startMachine({
      routes: robotRoutes,
      tls: { cert: certificates.cert, key: certificates.key },
    });
    const ca = `${certificates.folder}/ca.pem`;
    const { address, apiKey, apiKeyId } = machine;
    const generated = `${ROOT}examples/proto/gen`;
    const programs = await write(examples, { address, apiKey, apiKeyId, ca, generated });
    const configuration = ["--no-lock", "--config", await writeConfiguration()];
    const files = programs.map(({ file }) => file);
    if (!(await run(Deno.execPath(), ["check", "--quiet", ...configuration, ...files])).ok) return false;

    const bun = await bunPath();
    await installPackages(bun);
    const env = { DENO_CERT: ca, NODE_EXTRA_CA_CERTS: ca };
    const jobs = programs.flatMap(({ place, file, only }) => {
      const deno = [only === undefined ? "run" : "test", "--quiet", "--no-check", "--no-prompt"];
      return [
        {
          place,
          name: "Deno",
          command: Deno.execPath(),
          args: [...deno, ...configuration, ...PERMISSIONS, file],
        },
        { place, name: "Bun", command: bun, args: only === undefined ? [file] : ["test", `./${file}`] },
      ].filter(({ name }) => only === undefined || only === name);
    });
    let ok = true;
    const queue = jobs.values();
    await Promise.all(Array.from({ length: PARALLEL }, async () => {
      for (const { place, name, command, args } of queue) {
        const failure = await failureOf(command, args, env);
        if (failure === undefined) continue;
        ok = false;
        console.error(`The example at ${place} fails on ${name}:\n${failure}`);
      }
    }));
    console.log(`${examples.length} examples, ${jobs.length} runs`);
    return ok;
  } finally {
    await certificates.remove();
  }
}

const linted = await lint();
const names = await documentation();
const missing = undocumented(names);
for (const line of missing) console.error(line);
const ran = await runExamples([...commentExamples(names), ...await pages()]);
if (!linted || missing.length > 0 || !ran) Deno.exit(1);
