import { type Option, UsageError } from "./arguments.ts";
import type { Command, Run } from "./command.ts";
import { EXIT } from "./exit_code.ts";

/** Writes a completion script for the commands. */
export function completionOf(commands: readonly Command[]): Run {
  return async (args, terminal) => {
    const [shell, extra] = args.positionals;
    const script = extra === undefined && shell !== undefined && Object.hasOwn(SCRIPTS, shell)
      ? SCRIPTS[shell as keyof typeof SCRIPTS](commands)
      : undefined;
    if (script === undefined) throw new UsageError("completion takes bash, zsh or fish");
    await terminal.write(args.has("json") ? `${JSON.stringify({ shell, script })}\n` : script);
    return EXIT.ok;
  };
}

const SCRIPTS = { bash, zsh, fish };

/** Every option with a value, by name; an option of the same name has the same values in all commands. */
function valued(commands: readonly Command[]): [string, Option][] {
  const all = commands.flatMap(({ options }) => Object.entries(options));
  return [...new Map(all.filter(([, { value }]) => value !== undefined))];
}

function bash(commands: readonly Command[]): string {
  const names = commands.map(({ name }) => name).join(" ");
  const files = valued(commands).filter(([, { file }]) => file === true).map(([name]) => `--${name}`);
  const words = valued(commands).flatMap(([name, { words }]) =>
    words === undefined
      ? []
      : [`    --${name}) COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$word")); return ;;`]
  );
  const others = valued(commands).filter(([, { file, words }]) => file !== true && words === undefined)
    .flatMap(([name, { short }]) => [`--${name}`, ...short === undefined ? [] : [`-${short}`]]);
  return `# viam-dial completion for bash
_viam_dial() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W "${names} help --help --version" -- "$word"))
    return
  fi
  case "$before" in
    ${files.join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;
${words.join("\n")}
    ${others.join("|")}) return ;;
  esac
  case "\${COMP_WORDS[1]}" in
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")) ;;
    help) COMPREPLY=($(compgen -W "${names}" -- "$word")) ;;
  esac
  if [[ "$word" == -* ]]; then
    case "\${COMP_WORDS[1]}" in
${
    commands.map(({ name, options }) =>
      `      ${name}) COMPREPLY=($(compgen -W "${
        Object.keys(options).map((option) => `--${option}`).join(" ")
      }" -- "$word")) ;;`
    ).join("\n")
  }
    esac
  fi
}
complete -o filenames -F _viam_dial viam-dial
`;
}

function zsh(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = (text: string) => text.replaceAll(/[[\]:\\]/g, "\\$&");
  const spec = (name: string, { value, words, file, multiple, help }: Option) => {
    const action = value === undefined
      ? ""
      : `:${escaped(value)}:${file === true ? "_files" : words === undefined ? " " : `(${words.join(" ")})`}`;
    return quoted(`${multiple === true ? "*" : ""}--${name}[${escaped(help)}]${action}`);
  };
  const positional: Record<string, string> = { completion: "'1:shell:(bash zsh fish)'" };
  return `#compdef viam-dial
# viam-dial completion for zsh
_viam_dial() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${escaped(summary)}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT-- ))
  case "$command" in
${
    commands.map(({ name, options }) =>
      `    ${name}) _arguments ${
        [
          ...positional[name] === undefined ? [] : [positional[name]],
          ...Object.entries(options).map(([option, of]) => spec(option, of)),
        ].join(" ")
      } ;;`
    ).join("\n")
  }
  esac
}
if [[ "$funcstack[1]" == _viam_dial ]]; then _viam_dial "$@"; else compdef _viam_dial viam-dial; fi
`;
}

function fish(commands: readonly Command[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = ["# viam-dial completion for fish", "complete -c viam-dial -f"];
  for (const { name, summary, options } of commands) {
    lines.push(`complete -c viam-dial -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`);
    for (const [option, { value, short, words, file, help }] of Object.entries(options)) {
      const parts = [
        `complete -c viam-dial -n ${quoted(`__fish_seen_subcommand_from ${name}`)} -l ${option}`,
      ];
      if (short !== undefined) parts.push(`-s ${short}`);
      if (value !== undefined) parts.push(file === true ? "-r -F" : "-x");
      if (words !== undefined) parts.push(`-a ${quoted(words.join(" "))}`);
      lines.push(`${parts.join(" ")} -d ${quoted(help)}`);
    }
  }
  lines.push("complete -c viam-dial -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
  return `${lines.join("\n")}\n`;
}
