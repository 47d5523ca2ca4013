/** Several callers on one host and one Envoy: each is seen as itself, and nobody as another. */
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Endpoint, Service } from '../../src/model/service.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { httpApplication } from './applications.ts';
import { testAuthority } from './certificates.ts';
import { type RunningEnvoy, startEnvoy } from './envoy.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';

const authority = await testAuthority();
const ANNA = spiffe('anna');
const BERT = spiffe('bert', 'payments');

interface Two {
  readonly client: RunningEnvoy;
  readonly anna: Agent;
  readonly bert: Agent;
  readonly annaSocket: string;
  readonly bertSocket: string;
}

/** An agent that keeps `sockets` connections to a Unix socket. */
function agentOf(t: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  return agent;
}

/** Status and, of what the application saw, the client certificate that the server's Envoy reports. */
function ask(agent: Agent, socketPath: string): Promise<{ readonly status: number; readonly caller: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, agent, path: '/', timeout: 10_000 }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      incoming.once('end', () => {
        const status = incoming.statusCode ?? 0;
        const seen: unknown = status === 200 ? JSON.parse(body) : {};
        const headers = (seen as { headers?: Record<string, string> }).headers ?? {};
        resolve({ status, caller: headers['x-forwarded-client-cert'] ?? '' });
      });
    });
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in 10 s')));
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** Two callers with a Unix socket each, before `endpoints` of the service `reviews`. */
async function startTwo(
  t: TestContext,
  reviews: Service,
  endpoints: readonly Endpoint[],
  secrets: readonly SpiffeId[] = [ANNA, BERT],
  rest: Partial<Host> = {},
): Promise<Two> {
  const dir = await tempDir(t);
  const [annaSocket, bertSocket] = [join(dir, 'anna.sock'), join(dir, 'bert.sock')];
  const self = host({
    nodeId: 'client',
    callerIdentity: undefined,
    upstreams: [
      upstream('reviews', 0, { listen: { path: annaSocket }, caller: ANNA }),
      upstream('reviews', 0, { listen: { path: bertSocket }, caller: BERT }),
    ],
    ...rest,
  });
  const client = await startEnvoy(t, mesh([[reviews, endpoints]]), self, await authority.secrets(...secrets));
  return { client, anna: agentOf(t), bert: agentOf(t), annaSocket, bertSocket };
}

async function startReviews(t: TestContext): Promise<number> {
  const [inboundPort = 0, applicationPort = 0] = await freePorts(2);
  await httpApplication(t, applicationPort);
  const instance = workload('reviews', 'HTTP', inboundPort, applicationPort);
  const self = host({ nodeId: 'server', workloads: [instance] });
  await startEnvoy(t, mesh([[service('reviews', 'HTTP'), []]]), self, await authority.secrets(spiffe('reviews')));
  return inboundPort;
}

test('1,000 requests of two callers over pooled HTTP/2: the server sees each as itself', async (t) => {
  const inboundPort = await startReviews(t);
  const two = await startTwo(t, service('reviews', 'HTTP'), [endpoint('127.0.0.1', inboundPort)]);
  const wrong: string[] = [];
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let i = 0; i < 125; i++) {
      const isAnna = (worker + i) % 2 === 0;
      const { status, caller } = isAnna ? await ask(two.anna, two.annaSocket) : await ask(two.bert, two.bertSocket);
      if (status !== 200 || !caller.endsWith(`URI=${isAnna ? ANNA : BERT}`)) wrong.push(`${status} ${caller}`);
    }
  });
  await Promise.all(workers);
  assert.deepEqual(wrong, []);
  const cluster = 'cluster.outbound|9080||reviews.default.mesh;';
  // Pooled: a connection for each caller, not one for each request.
  const connections = await two.client.stat(`${cluster}.upstream_cx_http2_total`);
  assert.ok(connections >= 2 && connections <= 8, `${connections} connections`);
  assert.equal(await two.client.stat(`${cluster}.upstream_cx_http1_total`), 0);
});
