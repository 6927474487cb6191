import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { COMMANDS } from "../../lib/cli/commands.ts";
import { test } from "../harness.ts";
import { runCommand } from "./command_line.ts";

/** The words to offer for a line that ends where the user presses Tab. */
const CASES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ["viam-dial pi", ["ping"]],
  ["viam-dial des", ["describe"]],
  ["viam-dial ping --cou", ["--count"]],
  ["viam-dial list --meth", ["--methods"]],
  ["viam-dial call --protocol grpc-", ["grpc-web"]],
  ["viam-dial completion f", ["fish"]],
  ["viam-dial ping --timeout ", []],
];

async function withScript(shell: string, use: (file: string) => Promise<void>): Promise<void> {
  const { code, stdout } = await runCommand(["completion", shell]);
  assert.equal(code, 0);
  const folder = await mkdtemp(join(tmpdir(), "viam-dial-"));
  try {
    const file = join(folder, `completion.${shell}`);
    await writeFile(file, stdout);
    await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function output(command: string, ...args: string[]): Promise<string> {
  return (await promisify(execFile)(command, args)).stdout;
}

function absent(shell: string): string | undefined {
  return spawnSync(shell, ["-c", "true"], { stdio: "ignore" }).status === 0 ? undefined : `needs ${shell}`;
}

test("completion for bash completes commands, options and their values", async () => {
  await withScript("bash", async (file) => {
    for (const [line, offered] of CASES) {
      const words = line.split(" ");
      const script = `source ${file}; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); ` +
        `COMP_CWORD=${words.length - 1}; _viam_dial; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const lines = (await output("bash", "-c", script)).split("\n").filter((text) => text !== "");
      assert.deepEqual(lines, offered, line);
    }
  });
});

test("completion for fish completes commands, options and their values", async () => {
  await withScript("fish", async (file) => {
    for (const [line, offered] of CASES) {
      const script = `source ${file}; complete -C '${line}'`;
      const lines = (await output("fish", "--no-config", "-c", script)).split("\n").filter((text) =>
        text !== ""
      );
      assert.deepEqual(lines.map((text) => text.split("\t")[0]), offered, line);
    }
  });
}, { skip: absent("fish") });

test("completion for zsh parses in zsh", async () => {
  await withScript("zsh", async (file) => {
    await output("zsh", "-n", file);
    const script = `autoload -U compinit; compinit -D; source ${file}; echo $_comps[viam-dial]`;
    assert.equal((await output("zsh", "-f", "-c", script)).trim(), "_viam_dial");
  });
}, { skip: absent("zsh") });

test("completion has every command and option in every shell", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout } = await runCommand(["completion", shell]);
    for (const { name, options } of COMMANDS) {
      assert.ok(stdout.includes(name), `${shell}: ${name}`);
      for (const option of Object.keys(options)) assert.ok(stdout.includes(option), `${shell}: --${option}`);
    }
  }
  for (const args of [[], ["tcsh"], ["bash", "zsh"]]) {
    assert.equal((await runCommand(["completion", ...args])).code, 2);
  }
});
