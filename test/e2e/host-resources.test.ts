/** What resources say of a host itself: labels, weight and check by a WorkloadGroup, Envoy's threads by a ProxyConfig. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeLabelKey } from '../../src/model/registration.ts';
import { eventually } from '../support/eventually.ts';
import type { LocalHost } from '../support/local-mesh.ts';
import { untilStatus } from './agent-state.ts';
import { startTwoHosts } from './two-hosts.ts';

interface Registered {
  readonly Service: string;
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number };
}

interface CheckState {
  readonly Status: string;
  readonly ServiceName: string;
}

async function threads({ runDir }: LocalHost): Promise<string> {
  return new Promise((resolve, reject) => {
    const path = '/stats?filter=^server.concurrency$';
    get({ socketPath: join(runDir, 'admin.sock'), path, agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.once('end', () => resolve(text.trim()));
    }).once('error', reject);
  });
}

test('resources that speak of a host', async (t) => {
  const mesh = await startTwoHosts(t);
  const { backend, consul } = mesh;
  const settings = JSON.parse(await readFile(backend.configFile, 'utf8')) as {
    services: Record<string, unknown>[];
    envoy: Record<string, unknown>;
  };
  const [service] = settings.services;
  assert.ok(service !== undefined);
  service['workloadGroup'] = 'vms';
  delete service['check'];
  delete settings.envoy['concurrency'];
  await writeFile(backend.configFile, JSON.stringify(settings));
  backend.child.process.kill('SIGHUP');

  await t.test('a group that is not there is said', async () => {
    await untilStatus(backend, 'IST0101', ({ diagnostics }) => diagnostics.some(({ code }) => code === 'IST0101'));
  });

  await t.test('labels, weight and check come from the group', async () => {
    await mesh.resource('group.yaml', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadGroup',
      metadata: { name: 'vms', namespace: 'default' },
      spec: {
        template: { labels: { tier: 'gold' }, weight: 5 },
        probe: {
          periodSeconds: 1,
          httpGet: { path: '/health', port: mesh.application.port, httpHeaders: [{ name: 'x-probe', value: 'vms' }] },
        },
      },
    });
    await eventually('Consul knows', async () => {
      const answer = await fetch(`${consul.address}/v1/agent/services`);
      const all = Object.values((await answer.json()) as Record<string, Registered>);
      const found = all.find((one) => one.Service === 'backend');
      return found?.Meta[encodeLabelKey('tier')] === 'gold' && found.Weights.Passing === 5;
    });
    await eventually('the probe passes', async () => {
      const answer = await fetch(`${consul.address}/v1/agent/checks`);
      const all = Object.values((await answer.json()) as Record<string, CheckState>);
      const own = all.filter((one) => one.ServiceName === 'backend');
      return own.length > 0 && own.every(({ Status }) => Status === 'passing');
    });
    await untilStatus(backend, 'nothing is wrong', ({ diagnostics }) =>
      diagnostics.every(({ code }) => code !== 'IST0101'),
    );
    assert.equal((await fetch(mesh.url)).status, 200);
  });

  await t.test('threads come from a ProxyConfig, and are those of the next agent from its start', async () => {
    assert.notEqual(await threads(backend), 'server.concurrency: 3');
    await mesh.resource('proxy.yaml', {
      apiVersion: 'networking.istio.io/v1beta1',
      kind: 'ProxyConfig',
      metadata: { name: 'threads', namespace: 'default' },
      spec: { concurrency: 3, selector: { matchLabels: { tier: 'gold' } } },
    });
    await eventually('Envoy has three', async () => (await threads(backend)) === 'server.concurrency: 3');
    assert.equal((await fetch(mesh.url)).status, 200);
    await eventually('it is kept', async () =>
      assert.match(await readFile(join(backend.stateDir, 'host-resources.json'), 'utf8'), /"concurrency":3/),
    );
    backend.child.process.kill('SIGTERM');
    await backend.child.exited;
    backend.start();
    await backend.ready();
    assert.equal(await threads(backend), 'server.concurrency: 3');
    const { envoy } = await backend.status();
    assert.equal(envoy.epoch ?? 0, 0, 'no hot restart was needed');
  });
});
