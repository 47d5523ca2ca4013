/** What the documentation names is there: commands and their options, settings, units, files, ports. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { SETTINGS } from '../../src/agent/settings-list.ts';
import { createProgram } from '../../src/cli/program.ts';
import { PORTS } from '../../src/platform/vm/ports.ts';
import { ROOT } from '../support/tools.ts';

const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...globSync(['docs/**/*.md', 'examples/**/*.md', 'packaging/*.md', 'src/*/*.md', 'bench/*.md', 'demo/*.md'], {
    cwd: ROOT,
  }),
];

interface Line {
  readonly page: string;
  readonly text: string;
}

function read(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8');
}

/** All that matches in the pages, as `page: text`, but for what is there. */
function missing(pattern: RegExp, isThere: (found: RegExpExecArray, page: string) => boolean): readonly string[] {
  return PAGES.flatMap((page) =>
    [...read(page).matchAll(pattern)].filter((found) => !isThere(found, page)).map(([text]) => `${page}: ${text}`),
  );
}

/** Lines of code, in blocks and in the text, that call the program. */
function calls(): readonly Line[] {
  return PAGES.flatMap((page) => {
    const code = [...read(page).matchAll(/```(?:sh|yaml)?\n([\s\S]*?)```|`([^`\n]+)`/g)].flatMap(([, block, span]) =>
      (block ?? span ?? '').replaceAll('\\\n', ' ').split('\n'),
    );
    return code.flatMap((line) =>
      [...line.matchAll(/(?:^|\$ |sudo |[;|&(] ?|- name: |command: |cmd: |scripts\/)trysail ([a-z][^;|&#)"]*)/g)].map(
        ([, text = '']) => ({ page, text: text.trim() }),
      ),
    );
  });
}

function optionsOf(command: Command): ReadonlySet<string> {
  const own = command.options.flatMap(({ short, long }) => [short, long]);
  return new Set(['-h', '--help', ...own].filter((name) => name !== undefined && name !== null));
}

test('every call of the program is one that it understands', async () => {
  const program = await createProgram(undefined);
  const all = calls();
  assert.ok(all.length > 60, String(all.length));
  const wrong = all.flatMap(({ page, text }) => {
    let command = program;
    for (const word of text.split(/\s+/)) {
      const known = command.commands.find((each) => each.name() === word);
      if (known === undefined) break;
      command = known;
    }
    if (command === program) return text.startsWith('help') ? [] : [`${page}: trysail ${text}`];
    const options = optionsOf(command);
    return [...text.matchAll(/(?<=\s)--?[a-z][a-z-]*/g)]
      .filter(([option]) => !options.has(option))
      .map(([option]) => `${page}: trysail ${text}: ${option}`);
  });
  assert.deepEqual(wrong, []);
});

test('settings of agent.yaml that pages name are settings', () => {
  const paths = new Set(SETTINGS.map(({ path }) => path.replaceAll('[]', '')));
  const roots = new Set([...paths].map((path) => path.split('.')[0]));
  // Names of files, and fields of other things than agent.yaml.
  const others = /\.(?:json|yaml|yml|log|ts)$|^(?:services\.bypassable|envoy\.string)$/;
  const wrong = missing(/`([a-z]+(?:\[\])?(?:\.[a-zA-Z]+)+)`/g, ([, text = '']) => {
    const path = text.replaceAll('[]', '');
    return !roots.has(path.split('.')[0]) || paths.has(path) || others.test(path);
  });
  assert.deepEqual(wrong, []);
});

test('units that pages name are in the package', () => {
  const units = new Set(globSync('packaging/systemd/*', { cwd: ROOT }).map((file) => file.split('/').at(-1)));
  assert.deepEqual(
    missing(/\btrysail(?:-[a-z]+)?\.(?:service|path|timer|socket)\b/g, ([unit]) => units.has(unit)),
    [],
  );
});

test('files of the repository that pages name are there', () => {
  const folders = 'src|test|scripts|docs|examples|packaging|bench|demo|protos';
  assert.deepEqual(
    missing(
      new RegExp(`\`((?:${folders})/[\\w./-]+)\``, 'g'),
      ([, path = '']) => path.startsWith('src/room/') || existsSync(join(ROOT, path)),
    ),
    [],
  );
});

test('links lead somewhere', () => {
  assert.deepEqual(
    missing(/\]\((?!https?:|mailto:)([^)#]+)(?:#[^)]*)?\)/g, ([, target = ''], page) =>
      existsSync(join(ROOT, dirname(page), target)),
    ),
    [],
  );
});

test('README.md has the ports as they are', () => {
  const readme = read('README.md');
  const { outboundCapture, laterOutboundCapture, inboundCapture, certificateAuthority, health, dns } = PORTS;
  assert.ok(readme.includes(`| ${outboundCapture}, ${laterOutboundCapture} and on |`));
  for (const port of [inboundCapture, certificateAuthority, health, dns]) assert.ok(readme.includes(`| ${port} |`));
});
