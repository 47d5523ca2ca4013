import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { credentialStep } from './leave-services.ts';

test('a credential whose CA cannot be found, as agent.yaml is faulty, is not said to be given up', async (t) => {
  const stateDir = await mkdtemp(join(tmpdir(), 'trysail-leave-'));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  const unknown = { hostName: 'vm-1', settings: undefined, trustDomain: undefined, stateDir };
  const target = { ...unknown, runDirs: [], bypassDirs: [], configFiles: [], notes: [] };
  const step = credentialStep(target, new AbortController().signal);
  assert.equal(await step.isUndone(), true, 'a host that never joined has none');
  await mkdir(join(stateDir, 'identity'));
  await writeFile(join(stateDir, 'identity', 'host.json'), '{}');
  assert.equal(await step.isUndone(), false);
  await assert.rejects(
    async () => step.undo(),
    (error) => error instanceof TrysailError && (error.remedy ?? '').includes('trysail ca revoke vm-1'),
  );
});
