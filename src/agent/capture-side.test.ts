import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '../lib/log.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { CaptureSide } from './capture-side.ts';
import { loadAgentSettings } from './settings-load.ts';

test('where a unit holds the rules and does not run, the status says how to start it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-capture-'));
  t.after(async () => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'agent.yaml');
  const diagnosticsWith = async (capture: object): Promise<readonly string[]> => {
    const written = {
      registry: 'files',
      identity: { provider: 'none' },
      services: [{ name: 'a', user: 'root' }],
      envoy: { launcher: 'systemd' },
      paths: { state: dir, run: dir },
      capture,
    };
    await writeFile(file, JSON.stringify(written));
    const loaded = loadAgentSettings({
      file,
      flags: {},
      env: {},
      machine: { hostName: 'h', address: '127.0.0.1', cores: 1 },
    });
    assert.ok('settings' in loaded, JSON.stringify(loaded));
    const { settings } = loaded;
    const side = await CaptureSide.start({
      settings,
      ports: () => new Map(),
      isGuarded: () => false,
      log: silentLog(),
    });
    t.after(async () => side.close());
    return side.diagnostics.map(formatDiagnostic);
  };
  assert.deepEqual(await diagnosticsWith({ outbound: 'none' }), []);
  assert.deepEqual(await diagnosticsWith({ outbound: 'listed' }), [
    'error TRY0110 capture: trysail-capture.service does not run, without which there are no rules. Run "systemctl enable --now trysail-capture.service" as root, and look into its journal if it does not stay.',
  ]);
});
