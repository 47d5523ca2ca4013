/** The resources over our own xDS to a real Envoy: late certificates, rotation, a canary, endpoints, all under load. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { DestinationRule } from '../../src/model/destination-rule.ts';
import type { PeerAuthentication } from '../../src/model/peer-authentication.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { startAgentlet } from './agentlet.ts';
import { call, exchange, httpApplication, tcpApplication } from './applications.ts';
import { testAuthority } from './certificates.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';

const authority = await testAuthority();

/** Calls without a pause, eight at a time, until it is stopped; tells who answered and what failed. */
function load(port: number): {
  readonly answered: Map<string, number>;
  readonly failed: string[];
  stop: () => Promise<void>;
} {
  const agent = new Agent({ keepAlive: true });
  const answered = new Map<string, number>();
  const failed: string[] = [];
  const stopping = new AbortController();
  const once = (): Promise<void> =>
    new Promise((resolve) => {
      const outgoing = request({ host: '127.0.0.1', port, agent, timeout: 30_000 }, (incoming) => {
        const name = String(incoming.headers['x-app']);
        if (incoming.statusCode === 200) answered.set(name, (answered.get(name) ?? 0) + 1);
        else failed.push(String(incoming.statusCode));
        incoming.resume().once('end', resolve);
      });
      outgoing.once('error', (error) => {
        failed.push(error.message);
        resolve();
      });
      outgoing.end();
    });
  const workers = Array.from({ length: 8 }, async () => {
    while (!stopping.signal.aborted) await once();
  });
  return {
    answered,
    failed,
    stop: async () => {
      stopping.abort();
      await Promise.all(workers);
      agent.destroy();
    },
  };
}

function meta(kind: string) {
  return { kind, namespace: 'default', name: 'reviews', labels: {}, source: { file: 'x.yaml', line: 1 }, age: 0 };
}

const SUBSETS: DestinationRule = {
  meta: meta('DestinationRule'),
  host: 'reviews.default.mesh',
  trafficPolicy: undefined,
  subsets: ['v1', 'v2'].map((name) => ({ name, labels: { version: name }, trafficPolicy: undefined })),
  exportTo: [],
};

function canary(v1: number, v2: number): VirtualService {
  const to = (subset: string, weight: number) => ({ host: 'reviews.default.mesh', subset, port: undefined, weight });
  const route = { name: undefined, match: [], timeoutMs: undefined, retries: undefined };
  return {
    meta: meta('VirtualService'),
    hosts: ['reviews.default.mesh'],
    http: [{ ...route, destinations: [to('v1', v1), to('v2', v2)] }],
    exportTo: [],
  };
}

test('over ADS no change costs a request', async (t) => {
  const [upstreamPort = 0, inbound1 = 0, inbound2 = 0, app1 = 0, app2 = 0] = await freePorts(5);
  await Promise.all([httpApplication(t, app1, 'v1'), httpApplication(t, app2, 'v2')]);
  const instances = [
    endpoint('127.0.0.1', inbound1, { labels: { version: 'v1' } }),
    endpoint('127.0.0.1', inbound2, { labels: { version: 'v2' } }),
  ];
  const base = mesh([[service('reviews', 'HTTP'), instances]]);
  const workloads = [workload('reviews', 'HTTP', inbound1, app1), workload('reviews', 'HTTP', inbound2, app2)];
  const server = await startAgentlet(t, host({ nodeId: 'server', workloads, callerIdentity: undefined }));
  const client = await startAgentlet(t, host({ nodeId: 'client', upstreams: [upstream('reviews', upstreamPort)] }));
  const serverSecrets = await authority.secrets(spiffe('reviews'));
  server.serve(base, serverSecrets);

  // The certificate comes late: no plain text in the meantime, and no restart afterwards.
  client.serve(base, []);
  await eventually(
    'the listener is there without a certificate',
    async () => (await call(upstreamPort)).status === 503,
  );
  client.serve(base, await authority.secrets(spiffe('caller')));
  await eventually('requests pass', async () => (await call(upstreamPort)).status === 200);

  const { answered, failed, stop } = load(upstreamPort);
  const count = (name: string): number => answered.get(name) ?? 0;
  const more = async (name: string): Promise<void> => {
    const before = count(name);
    await eventually(`more from ${name}`, () => count(name) > before + 50);
  };
  await more('v1');
  await more('v2');

  client.serve(
    { ...base, destinationRules: [SUBSETS], virtualServices: [canary(100, 0)] },
    await authority.secrets(spiffe('caller')),
  );
  await eventually('all to v1', async () => {
    const before = count('v2');
    await more('v1');
    return count('v2') === before;
  });
  const moved = { ...base, destinationRules: [SUBSETS], virtualServices: [canary(0, 100)] };
  client.serve(moved, await authority.secrets(spiffe('caller')));
  await eventually('all to v2', async () => {
    const before = count('v1');
    await more('v2');
    return count('v1') === before;
  });

  // The server's side gets a new certificate.
  server.serve(moved, await authority.secrets(spiffe('reviews')));
  await more('v2');

  // The rules go, the first instance goes.
  client.serve(base, await authority.secrets(spiffe('caller')));
  await more('v1');
  client.serve(mesh([[service('reviews', 'HTTP'), instances.slice(1)]]), await authority.secrets(spiffe('caller')));
  await delay(200);
  await more('v2');
  await stop();
  assert.deepEqual(failed, []);
  assert.deepEqual([...client.rejected, ...server.rejected], []);
});

test('from PERMISSIVE to STRICT: plain text is refused, connections of the mesh stay', async (t) => {
  const [upstreamPort = 0, inboundPort = 0, applicationPort = 0] = await freePorts(3);
  await tcpApplication(t, applicationPort);
  const base = mesh([[service('reviews', 'TCP'), [endpoint('127.0.0.1', inboundPort)]]]);
  const workloads = [workload('reviews', 'TCP', inboundPort, applicationPort)];
  const server = await startAgentlet(t, host({ nodeId: 'server', workloads, callerIdentity: undefined }));
  const client = await startAgentlet(t, host({ nodeId: 'client', upstreams: [upstream('reviews', upstreamPort)] }));
  const serverSecrets = await authority.secrets(spiffe('reviews'));
  server.serve(base, serverSecrets);
  client.serve(base, await authority.secrets(spiffe('caller')));
  await eventually('the mesh', async () => (await exchange(upstreamPort, 'hello')) === 'app:hello');
  assert.equal(await exchange(inboundPort, 'hello'), 'app:hello');

  const kept = connect(upstreamPort, '127.0.0.1');
  t.after(() => kept.destroy());
  const answer = async (text: string): Promise<unknown> => {
    const received = once(kept, 'data');
    kept.write(text);
    return String((await received)[0]);
  };
  assert.equal(await answer('before'), 'app:before');
  const strict: PeerAuthentication = {
    meta: meta('PeerAuthentication'),
    selector: undefined,
    mode: 'STRICT',
    portModes: new Map(),
  };
  server.serve({ ...base, peerAuthentications: [strict] }, serverSecrets);
  await eventually('plain text is refused', async () => (await exchange(inboundPort, 'hello')) === undefined);
  assert.equal(await answer('after'), 'app:after');
  assert.equal(await exchange(upstreamPort, 'hello'), 'app:hello');
  assert.match(await server.stats('listener_manager.listener_in_place_updated'), /: 1$/m);
  assert.deepEqual(server.rejected, []);
});
