// Completion of commands and options for bash, made of the definitions of the commands.
import type { Command } from 'commander';
import { createProgram } from '../src/cli/program.ts';

function words(command: Command): string {
  const options = command.options.flatMap(({ long }) => (long === undefined ? [] : [long]));
  return [...command.commands.map((nested) => nested.name()), ...options, '--help'].join(' ');
}

/** A completion script; its paths complete as files do. */
export async function bashCompletion(): Promise<string> {
  const program = await createProgram(undefined);
  const cases: string[] = [];
  const walk = (command: Command, path: string): void => {
    cases.push(`    '${path}') words='${words(command)}' ;;`);
    for (const nested of command.commands) walk(nested, `${path} ${nested.name()}`);
  };
  for (const command of program.commands) walk(command, command.name());
  return `# Completion of trysail(1) for bash.
_trysail() {
  local words='' path='' word current="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case $path in
    '') words='${program.commands.map((command) => command.name()).join(' ')} help --help --version' ;;
${cases.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  [ \${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -o filenames -F _trysail trysail
`;
}
