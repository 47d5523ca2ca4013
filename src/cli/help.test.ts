import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';
import { commandIn, createProgram } from './program.ts';

function allCommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

test('every command, option and argument has a description that begins with a capital and ends with a full stop', async () => {
  const program = await createProgram(undefined);
  for (const command of allCommands(program)) {
    const described = [
      { what: command.name(), text: command.description() },
      ...command.options.map(({ flags, description }) => ({ what: `${command.name()} ${flags}`, text: description })),
      ...command.registeredArguments.map((argument) => ({
        what: `${command.name()} <${argument.name()}>`,
        text: argument.description,
      })),
    ];
    for (const { what, text } of described) assert.match(text, /^[A-Z].*\.$/s, what);
  }
});

test('every command that does something has examples', async () => {
  const program = await createProgram(undefined);
  for (const command of program.commands) {
    if (command.commands.length > 0) continue;
    let help = '';
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    assert.match(help, /\nExamples?:\n {2}trysail /, command.name());
  }
});

test('commands are listed sorted by name, each with the description that it gives itself', async () => {
  const names = COMMANDS.map(({ name }) => name);
  assert.deepEqual(names, names.toSorted());
  const program = await createProgram(undefined);
  assert.deepEqual(
    COMMANDS.map(({ name, summary }) => ({ name, summary })),
    COMMANDS.map(({ name }) => ({
      name,
      summary: program.commands.find((command) => command.name() === name)?.description(),
    })),
  );
});

test('trysail --help lists every command under the heading of its group', async () => {
  const program = await createProgram([]);
  const help = program.helpInformation();
  const headings = Object.values(COMMAND_GROUPS).map((heading) => help.indexOf(`\n${heading}\n`));
  assert.ok(headings.every((at) => at > 0));
  assert.deepEqual(
    headings,
    headings.toSorted((a, b) => a - b),
  );
  assert.ok(!help.includes('\nCommands:\n'));
  const { commands } = await createProgram(['ca']);
  const ofCa = commands.find((command) => command.name() === 'ca')?.helpInformation() ?? '';
  assert.deepEqual(ofCa.match(/^\S.*:$/gm), ['Options:', 'Commands:']);
});

test('options that several commands have bear one name', async () => {
  const program = await createProgram(undefined);
  const flags = new Map<string, Set<string>>();
  for (const command of allCommands(program))
    for (const { short, long } of command.options)
      if (short !== undefined && long !== undefined) flags.set(short, (flags.get(short) ?? new Set()).add(long));
  assert.deepEqual(
    [...flags].filter(([, names]) => names.size > 1).map(([short, names]) => [short, ...names]),
    [],
  );
  const all = new Set(allCommands(program).flatMap(({ options }) => options.map(({ long }) => long)));
  for (const other of ['--filename', '--files', '--mesh-file', '--format']) assert.ok(!all.has(other), other);
});

test('commandIn() finds the command among flags, and after help', () => {
  assert.equal(commandIn(['status', '-o', 'json'])?.name, 'status');
  assert.equal(commandIn(['help', 'check'])?.name, 'check');
  assert.equal(commandIn(['--help']), undefined);
  assert.equal(commandIn(['statis']), undefined);
});
