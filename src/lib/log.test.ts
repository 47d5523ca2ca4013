import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog, leadsToJournal, silentLog } from './log.ts';

test('one JSON line an event, below the level nothing, and secrets never', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-log-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'log');
  const log = createLog('info', file);
  log.info({ service: 'web' }, 'registered');
  log.debug('hidden');
  log.warn({ token: 'S3CRET', consul: { token: 'S3CRET' }, identity: { privateKeyPem: 'S3CRET' } }, 'careful');
  log.child({ room: 'ca' }).error({ authorization: 'Bearer S3CRET', key: 'S3CRET' }, 'refused');

  const text = await readFile(file, 'utf8');
  assert.ok(!text.includes('S3CRET'), text);
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [
      ['info', 'registered'],
      ['warn', 'careful'],
      ['error', 'refused'],
    ],
  );
  assert.equal(lines[0]?.['service'], 'web');
  assert.equal(lines[2]?.['room'], 'ca');
  assert.match(String(lines[0]?.['time']), /^\d{4}-\d\d-\d\dT/);
});

test('for the journal each line says its priority, those of children too', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-log-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'log');
  const log = createLog('debug', file, true);
  log.debug('a');
  log.info('b');
  log.child({ room: 'ca' }).warn('c');
  log.error('d');
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  assert.deepEqual(
    lines.map((line) => line.slice(0, 4)),
    ['<7>{', '<6>{', '<4>{', '<3>{'],
  );
  const handle = await open(file);
  t.after(() => handle.close());
  const { dev, ino } = await handle.stat();
  assert.equal(leadsToJournal(handle.fd, `${dev}:${ino}`), true);
  assert.equal(leadsToJournal(handle.fd, `${dev}:${ino + 1}`), false);
  assert.equal(leadsToJournal(handle.fd, undefined), false);
});

test('a silent log takes everything and writes nothing', () => {
  const log = silentLog();
  log.error({ token: 'x' }, 'nobody reads this');
  assert.equal(typeof log.child, 'function');
});
