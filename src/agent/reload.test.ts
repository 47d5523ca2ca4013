import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { type Reloaded, type Running, reloaded } from './reload.ts';
import { type LoadedSettings, loadAgentSettings } from './settings-load.ts';

const GOOD = { mesh: { resources: 'resources' }, services: [{ name: 'web', port: 80, application: '127.0.0.1:8080' }] };

class Host {
  readonly dir: string;
  running: Running;

  constructor(t: TestContext) {
    this.dir = mkdtempSync(join(tmpdir(), 'trysail-reload-'));
    t.after(() => rmSync(this.dir, { recursive: true }));
    const loaded = this.load(GOOD);
    assert.ok('settings' in loaded);
    this.running = { settings: loaded.settings, config: DEFAULT_MESH_CONFIG };
  }

  load(written: Readonly<Record<string, unknown>>): LoadedSettings {
    const file = join(this.dir, 'agent.yaml');
    writeFileSync(file, JSON.stringify(written));
    return loadAgentSettings({
      file,
      flags: {},
      env: {},
      machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    });
  }

  async reload(change: Readonly<Record<string, unknown>>): Promise<Reloaded> {
    return reloaded(this.running, this.load({ ...GOOD, ...change }));
  }
}

const told = ({ diagnostics }: Reloaded): readonly string[] =>
  diagnostics.map(({ code, severity, object }) => `${severity} ${code} ${object}`);

test('what can change while the agent runs takes effect', async (t) => {
  const host = new Host(t);
  const next = await host.reload({
    host: { address: '10.0.0.6', locality: 'eu/a' },
    mode: 'observe',
    services: [{ name: 'other', port: 81 }],
    envoy: { drainTime: '1s', concurrency: 1, lingerTime: '1s' },
    log: { level: 'debug' },
  });
  assert.deepEqual(next.diagnostics, []);
  assert.equal(next.settings.host.address, '10.0.0.6');
  assert.deepEqual(
    next.settings.services.map(({ name, mode }) => [name, mode]),
    [['other', 'observe']],
  );
  assert.equal(next.settings.envoy.drainTimeMs, 1000);
  assert.equal(next.settings.log.level, 'debug');
});

test('what is settled at the start stays, and is said; the rest takes effect', async (t) => {
  const host = new Host(t);
  const next = await host.reload({
    host: { name: 'vm-2' },
    mesh: { resources: 'elsewhere' },
    consul: { address: 'http://127.0.0.1:8501' },
    paths: { run: '/run/other' },
    envoy: { launcher: 'systemd' },
    services: [],
  });
  assert.deepEqual(told(next), [
    'warning TRY0907 host.name',
    'warning TRY0907 mesh.resources',
    'warning TRY0907 consul',
    'warning TRY0907 paths',
    'warning TRY0907 envoy.launcher',
    'warning TRY0907 envoy.runDir',
  ]);
  const { settings } = host.running;
  assert.deepEqual(next.settings, { ...settings, services: [], callAs: undefined });
});

test('another provider or registry: nothing of the file takes effect', async (t) => {
  const host = new Host(t);
  const next = await host.reload({ identity: { provider: 'none' }, registry: 'files', services: [] });
  assert.deepEqual(told(next), ['error TRY0907 registry', 'error TRY0907 identity']);
  assert.equal(next.settings, host.running.settings);
});

test('with a fault in agent.yaml everything stays', async (t) => {
  const host = new Host(t);
  const next = await host.reload({ services: [{ name: 'A' }] });
  assert.deepEqual(told(next), ['error TRY0901 undefined']);
  assert.equal(next.settings, host.running.settings);
  assert.equal(next.config, host.running.config);
});

test('meshconfig.yaml is read too, with its own faults and its own settled parts', async (t) => {
  const host = new Host(t);
  const file = join(host.dir, 'mesh.yaml');
  const mesh = { resources: 'resources', config: 'mesh.yaml' };
  writeFileSync(file, 'connectTimeout: 3s\ntrustDomain: other.example\n');
  const next = await host.reload({ mesh });
  assert.deepEqual(told(next), ['warning TRY0907 trustDomain']);
  assert.equal(next.config.trustDomain, 'cluster.local');
  assert.notDeepEqual(next.config, DEFAULT_MESH_CONFIG);
  writeFileSync(file, 'connectTimeout: soon\n');
  const faulty = await host.reload({ mesh, services: [] });
  assert.equal(faulty.settings, host.running.settings);
  assert.ok(faulty.diagnostics.some(({ severity }) => severity === 'error'));
});
