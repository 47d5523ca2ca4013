/** The command line: `trysail <command>`, with one command defined in full and the others by name alone. */
import { Command, Help } from 'commander';
import { VERSION } from '../api/version.ts';
import { COMMAND_GROUPS, COMMANDS, type CommandEntry } from './commands.ts';

/** What `trysail` alone prints. */
export const GUIDE = `Trysail ${VERSION}: Istio's API on plain virtual machines, on Consul and Envoy.

On a host of the mesh:
  trysail join       Make this host a member; "trysail leave" undoes it.
  trysail check      Is this host fit, and what I wrote right?
  trysail status     Is this host well? What is in the way?
  trysail explain    What becomes of a request, and by which rule?
  trysail bypass     Take traffic past the proxy, for a while.

Of configuration, wherever it is:
  trysail analyze    What is wrong or doubtful in it?
  trysail render     What is Envoy told by it?

Of all hosts, in Consul:
  trysail fleet init Begin; then diff, apply, get, history, rollback, rollout, freeze.

Where the mesh's certificates are made:
  trysail ca init    Make a certificate authority.
  trysail server     Run it.
  trysail token      Let a host join.

All commands: trysail --help. One of them: trysail <command> --help.
`;

/** Without `help` where commands are grouped: it would be a group of its own, and `--help` stands above. */
function listedCommands(this: Help, command: Command): Command[] {
  const all = Help.prototype.visibleCommands.call(this, command);
  return command.parent === null ? all.filter((each) => each.name() !== 'help') : all;
}

function programWithoutCommands(): Command {
  return new Command('trysail')
    .description("Istio's API on plain virtual machines, on Consul and Envoy.")
    .version(VERSION, '-V, --version', 'Print the version.')
    .helpOption('-h, --help', 'Print what a command does and how it is called.')
    .helpCommand('help [command]', 'Print what a command does and how it is called.')
    .configureHelp({ sortSubcommands: true, sortOptions: true, visibleCommands: listedCommands })
    .showHelpAfterError('(add --help to see how it is called)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'trysail: ')) })
    .exitOverride();
}

/**
 * The program with the commands that `names` lists defined in full.
 * @param names of `COMMANDS`; undefined: all of them
 */
export async function createProgram(names: readonly string[] | undefined): Promise<Command> {
  const program = programWithoutCommands();
  // Groups are printed in the order of their first commands.
  const groups = Object.keys(COMMAND_GROUPS);
  for (const entry of COMMANDS.toSorted((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group))) {
    if (names === undefined || names.includes(entry.name)) await entry.register(program);
    else program.command(entry.name).description(entry.summary);
    program.commands.find((command) => command.name() === entry.name)?.helpGroup(COMMAND_GROUPS[entry.group]);
  }
  return program;
}

/** The command that the arguments ask for, `trysail help <command>` included; undefined: none that is known. */
export function commandIn(args: readonly string[]): CommandEntry | undefined {
  const [first, second] = args.filter((arg) => !arg.startsWith('-'));
  return COMMANDS.find(({ name }) => name === (first === 'help' ? second : first));
}

/**
 * The arguments as they are parsed: `trysail help statis` asks for a command that there is not, and is told so like
 * `trysail statis`.
 */
export function spelledOut(args: readonly string[]): readonly string[] {
  const [first, second = ''] = args;
  const isUnknown = first === 'help' && second !== '' && !second.startsWith('-') && second !== 'help';
  return isUnknown && commandIn(args) === undefined ? args.slice(1) : args;
}
