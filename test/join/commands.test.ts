/** `trysail join` and `trysail leave` as a user runs them: words and exit codes. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';

test('join --check has an exit code of its own, and JSON', async (t) => {
  const config = join(await tempDir(t), 'agent.yaml');
  const none = await trysail('join', '--check', '--config', config, '-o', 'json');
  assert.equal(none.code, EXIT.notJoined, none.err);
  assert.partialDeepStrictEqual(JSON.parse(none.out), { joined: false, reason: 'not-configured' });
  await writeFile(config, 'identity: { provider: nobody }\n');
  const broken = await trysail('join', '--check', '--config', config);
  assert.equal(broken.code, EXIT.invalidConfiguration);
  assert.match(broken.err, /agent\.yaml:1: .*identity\.provider/);
});

test('what is asked for wrongly is said, and changes nothing', async (t) => {
  const dir = await tempDir(t);
  const config = join(dir, 'agent.yaml');
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['join'], EXIT.usage, /needs --token or --token-file, one of them\.\n {2}Make a token/],
    [['join', '--token', 'x', '--token-file', 'y'], EXIT.usage, /one of them/],
    [['join', '--token', 'x'], EXIT.failed, /not a join token/],
    [['join', '--token-file', join(dir, 'none')], EXIT.failed, /--token-file: ENOENT/],
    [
      ['join', '--token', 'x', '--service', 'a b'],
      EXIT.usage,
      /--service: "a b" cannot be read\.\n {2}Write it like orders/,
    ],
    [['join', '--token', 'x', '--timeout', 'soon'], EXIT.usage, /"soon" is not a duration/],
    [['leave'], EXIT.failed, /has to be confirmed.*\n {2}Give --yes/],
  ];
  for (const [args, code, message] of cases) {
    const run = await trysail(...args, '--config', config);
    assert.equal(run.code, code, `${args.join(' ')}: ${run.err}`);
    assert.match(run.err, message);
  }
});
