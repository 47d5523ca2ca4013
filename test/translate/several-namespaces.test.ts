/** Callers of two namespaces on one host: each by the rules of its own. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DestinationRule } from '../../src/model/destination-rule.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { httpApplication } from './applications.ts';
import { testAuthority } from './certificates.ts';
import { startEnvoy } from './envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream } from './mesh-literals.ts';

const authority = await testAuthority();

function meta(kind: string) {
  return { kind, namespace: 'payments', name: 'x', labels: {}, source: { file: 'x.yaml', line: 1 }, age: 0 };
}

const SUBSET: DestinationRule = {
  meta: meta('DestinationRule'),
  host: 'reviews.default.mesh',
  trafficPolicy: undefined,
  subsets: [{ name: 'v2', labels: { version: 'v2' }, trafficPolicy: undefined }],
  exportTo: ['.'],
};

const ROUTE: VirtualService = {
  meta: meta('VirtualService'),
  hosts: ['reviews.default.mesh'],
  http: [
    {
      name: undefined,
      match: [],
      destinations: [{ host: 'reviews.default.mesh', subset: 'v2', port: undefined, weight: 1 }],
      timeoutMs: undefined,
      retries: undefined,
    },
  ],
  exportTo: ['.'],
};

/** Which application answers. */
function answering(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, agent: false, timeout: 10_000 }, (incoming) => {
      incoming.resume().once('end', () => resolve(String(incoming.headers['x-app'])));
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 10 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

test('a route and a subset for one namespace hold for its callers alone', async (t) => {
  const [v1 = 0, v2 = 0] = await freePorts(2);
  await Promise.all([httpApplication(t, v1, 'v1'), httpApplication(t, v2, 'v2')]);
  const dir = await tempDir(t);
  const [annaSocket, bertSocket] = [join(dir, 'anna.sock'), join(dir, 'bert.sock')];
  const [anna, bert] = [spiffe('anna'), spiffe('bert', 'payments')];
  const self = host({
    callerIdentity: undefined,
    upstreams: [
      upstream('reviews', 0, { listen: { path: annaSocket }, caller: anna }),
      upstream('reviews', 0, { listen: { path: bertSocket }, caller: bert }),
    ],
  });
  const instances = [v1, v2].map((port, i) => endpoint('127.0.0.1', port, { labels: { version: `v${i + 1}` } }));
  const both = mesh([[service('reviews', 'HTTP', { tls: 'plain' }), instances]], {
    destinationRules: [SUBSET],
    virtualServices: [ROUTE],
  });
  await startEnvoy(t, both, self, await authority.secrets(anna, bert));
  const answers = async (socket: string): Promise<readonly string[]> => {
    const seen = new Set<string>();
    for (let i = 0; i < 60; i++) seen.add(await answering(socket));
    return [...seen].toSorted();
  };
  assert.deepEqual(await answers(annaSocket), ['v1', 'v2']);
  assert.deepEqual(await answers(bertSocket), ['v2']);
});
