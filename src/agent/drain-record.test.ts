import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DrainSettings, keepDrainSettings, keptDrainSettings, stateDirsOf } from './drain-record.ts';

const SETTINGS: DrainSettings = {
  host: { name: 'h' },
  registry: 'consul',
  consul: {
    address: 'https://127.0.0.1:8501',
    tokenFile: '/etc/trysail/consul.token',
    caFile: '/etc/trysail/ca.pem',
    certFile: undefined,
    keyFile: undefined,
    maxWatches: 64,
  },
  envoy: { runDir: '/run/trysail-envoy', drainTimeMs: 1500 },
  paths: { run: '/run/trysail' },
};

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-drain-'));
  t.after(async () => rm(dir, { recursive: true, force: true }));
  return dir;
}

test('what is kept comes back', async (t) => {
  const dir = await folder(t);
  await keepDrainSettings(dir, SETTINGS);
  assert.deepEqual(await keptDrainSettings(dir), SETTINGS);
});

test('what is kept already is not written again: on a full disk it would be lost', async (t) => {
  const dir = await folder(t);
  await keepDrainSettings(dir, SETTINGS);
  const { ino } = await stat(join(dir, 'drain.json'));
  await keepDrainSettings(dir, SETTINGS);
  assert.equal((await stat(join(dir, 'drain.json'))).ino, ino);
  await keepDrainSettings(dir, { ...SETTINGS, host: { name: 'other' } });
  assert.equal((await keptDrainSettings(dir))?.host.name, 'other');
});

test('nothing, and nothing of ours, is nothing', async (t) => {
  const dir = await folder(t);
  assert.equal(await keptDrainSettings(dir), undefined);
  await writeFile(join(dir, 'drain.json'), '{"version":1,"settings":{}}');
  assert.equal(await keptDrainSettings(dir), undefined);
});

test('what cannot be kept leaves nothing older behind', async (t) => {
  const dir = await folder(t);
  await keepDrainSettings(dir, SETTINGS);
  const unwritable = { ...SETTINGS, registry: 1n } as unknown as DrainSettings;
  await assert.rejects(keepDrainSettings(dir, unwritable));
  assert.equal(await keptDrainSettings(dir), undefined);
  await assert.rejects(readFile(join(dir, 'drain.json')));
});

test('the state folder is found in a file that is neither YAML nor JSON any more', async (t) => {
  const dir = await folder(t);
  const file = join(dir, 'agent.yaml');
  const found = async (text: string): Promise<readonly string[]> => {
    await writeFile(file, text);
    return stateDirsOf(file, []);
  };
  assert.deepEqual(await found('paths: {run: /r, state: /a}\n\tservices: [\n'), ['/a', '/var/lib/trysail']);
  assert.deepEqual(await found('paths:\n  # state: /old\n  state: "b" # c\n{'), [join(dir, 'b'), '/var/lib/trysail']);
  assert.deepEqual(await found('{"paths": {"run": "/r", "state": "/c"'), ['/c', '/var/lib/trysail']);
  assert.deepEqual(await stateDirsOf(join(dir, 'none'), ['/flag']), ['/flag', '/var/lib/trysail']);
});
