/**
 * Somebody who may write to Consul's catalogue registers instances of other people's services: a plain-text server as
 * details, and a member of the mesh with another identity as ratings. Clients connect, see the wrong identity, and go.
 */
import { join } from 'node:path';
import { META } from '../../src/model/registration.ts';
import { applicationAddress } from '../machines/applications.ts';
import { httpFrom } from '../machines/http.ts';
import { waitFor } from '../machines/wait.ts';
import { identityOf } from '../mesh/bookshop-resources.ts';
import { meshMachine, REGISTRY, SERVICE_PORT } from '../topology.ts';
import type { World } from '../world.ts';
import { failedOf, pause, type Scenario, underLoad } from './scenario.ts';

const IMPOSTOR = meshMachine('details-1');

export const rogueRegistration: Scenario = {
  name: 'rogue registrations',
  title: 'Rogue instances of details (plain text) and ratings (another identity) appear in Consul',
  run: async (world, report) => {
    const address = world.network.addressOf(REGISTRY);
    const script = join(import.meta.dirname, '../rogue/plain-server.ts');
    const server = world.programs.start(REGISTRY, 'rogue', [process.execPath, script, address, String(SERVICE_PORT)]);
    const before = await impostorCounts(world);
    try {
      await register(world, { ID: 'rogue-1', Name: 'details', Address: address });
      const mtls = { [META.tls]: 'mtls' };
      await register(world, { ID: 'rogue-2', Name: 'ratings', Address: world.network.addressOf(IMPOSTOR), Meta: mtls });
      const { figures, samples } = await underLoad(world, report, async () => {
        await endpointsSeen(world, 'productpage', 'details', 3);
        await endpointsSeen(world, 'reviews-v3', 'ratings', 3);
        report.note("both are in the callers' endpoints: 3 of details, 3 of ratings");
        await pause(world, 3000);
      });
      const { requests, connections } = JSON.parse(
        await httpFrom(world.network, REGISTRY, `http://${address}:${SERVICE_PORT}/counts`),
      ) as { readonly requests: number; readonly connections: number };
      report.check(
        requests === 0 && connections > 0,
        'no request reached the plain-text server',
        `${requests} requests; ${connections} connections given up in the TLS handshake`,
      );
      const reached = (await impostorCounts(world)) - before;
      report.check(
        reached === 0,
        `no request of reviews reached ${IMPOSTOR.name} in the name of ratings`,
        String(reached),
      );
      const strangers = samples.filter(({ instances }) => Object.values(instances ?? {}).includes('rogue')).length;
      report.check(strangers === 0, 'no answer came from a rogue', `${strangers} of ${samples.length}`);
      report.check(figures.failures === 0, 'no request failed', failedOf(figures));
      report.highlight(`${connections} handshakes refused, 0 requests`);
    } finally {
      for (const id of ['rogue-1', 'rogue-2'])
        await world.consul.call(REGISTRY, 'PUT', `/v1/agent/service/deregister/${id}`).catch(() => undefined);
      await server.end('SIGTERM');
    }
  },
};

async function register(world: World, registration: Readonly<Record<string, unknown>>): Promise<void> {
  const body = { Port: SERVICE_PORT, ...registration };
  await world.consul.call(REGISTRY, 'PUT', '/v1/agent/service/register', body);
}

/** Requests that the impostor's application got from reviews, which has no business there. */
async function impostorCounts(world: World): Promise<number> {
  const url = `http://${applicationAddress(world.network, IMPOSTOR)}/counts`;
  const counts = JSON.parse(await httpFrom(world.network, IMPOSTOR, url)) as Readonly<Record<string, number>>;
  return counts[identityOf('reviews')] ?? 0;
}

async function endpointsSeen(world: World, caller: string, service: string, total: number): Promise<void> {
  const what = `${caller} sees ${total} endpoints of ${service}`;
  await waitFor({ what, timeoutMs: 15_000, signal: world.signal }, async () => {
    const { upstreams } = await world.agent(caller).status();
    return upstreams.some(
      (upstream) => upstream.service.startsWith(`${service}.`) && upstream.endpoints.total === total,
    );
  });
}
