import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '../lib/log.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { Allocations } from './allocations.ts';
import { loadAgentSettings } from './settings-load.ts';

test('a service by name never gets an address that agent.yaml names', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-allocations-'));
  t.after(async () => rm(dir, { recursive: true, force: true }));
  const addressesWith = async (listen: string): Promise<readonly string[]> => {
    const file = join(dir, 'agent.yaml');
    const written = {
      registry: 'files',
      identity: { provider: 'none' },
      host: { name: 'h', address: '127.0.0.1' },
      paths: { state: dir, run: dir },
      upstreams: [{ service: 'a' }, { service: 'b', listen }],
      dns: { addresses: ['127.240.0.0/30'] },
    };
    await writeFile(file, JSON.stringify(written));
    const machine = { hostName: 'h', address: '127.0.0.1', cores: 1 };
    const loaded = loadAgentSettings({ file, flags: {}, env: {}, machine });
    assert.ok('settings' in loaded, JSON.stringify(loaded));
    const allocations = await Allocations.open(dir, silentLog());
    const host = await allocations.host(loaded.settings, DEFAULT_MESH_CONFIG);
    return host.namedUpstreams?.[0]?.addresses ?? [];
  };
  const [first = ''] = await addressesWith('127.0.0.1:81');
  assert.match(first, /^127\.240\.0\.[123]$/);
  // Kept, and given up for what somebody wrote down.
  assert.deepEqual(await addressesWith('127.0.0.1:82'), [first]);
  const [second = ''] = await addressesWith(`${first}:83`);
  assert.match(second, /^127\.240\.0\.[123]$/);
  assert.notEqual(second, first);
});
