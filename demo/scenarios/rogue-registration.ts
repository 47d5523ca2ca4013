/**
 * Somebody who may write to Consul's catalogue registers instances of other people's services: a plain-text server as
 * details, another one that claims to speak mutual TLS, and a member of the mesh with another identity as ratings.
 * Whatever the catalogue says, clients expect the identity that the service's record names.
 */
import { join } from 'node:path';
import { META } from '../../src/model/registration.ts';
import { applicationAddress } from '../machines/applications.ts';
import { httpFrom } from '../machines/http.ts';
import type { Program } from '../machines/programs.ts';
import { waitFor } from '../machines/wait.ts';
import { identityOf, LOCALITY } from '../mesh/bookshop-resources.ts';
import { meshMachine, REGISTRY, SERVICE_PORT } from '../topology.ts';
import type { World } from '../world.ts';
import { everybodyToV3, failedOf, pause, type Scenario, underLoad } from './scenario.ts';

const IMPOSTOR = meshMachine('details-1');
const PLAIN_PORT = 9080;
const LIAR_PORT = 9180;
/** Also in the callers' locality: instances elsewhere get nothing while those at hand are well. */
const CLAIM = { [META.tls]: 'mtls', [META.locality]: LOCALITY };

export const rogueRegistration: Scenario = {
  name: 'rogue registrations',
  title: 'Rogue instances of details and ratings appear in Consul: plain text, a false claim, another identity',
  run: async (world, report) => {
    await everybodyToV3(world);
    const address = world.network.addressOf(REGISTRY);
    const servers = [PLAIN_PORT, LIAR_PORT].map((port) => startServer(world, address, port));
    const before = await impostorCount(world);
    try {
      await register(world, { ID: 'rogue-plain', Name: 'details', Address: address, Port: PLAIN_PORT });
      await register(world, { ID: 'rogue-liar', Name: 'details', Address: address, Port: LIAR_PORT, Meta: CLAIM });
      const impostor = { Address: world.network.addressOf(IMPOSTOR), Port: SERVICE_PORT, Meta: CLAIM };
      await register(world, { ID: 'rogue-impostor', Name: 'ratings', ...impostor });
      const { figures, samples } = await underLoad(world, report, async () => {
        await endpointsSeen(world, 'productpage', 'details', 3);
        await endpointsSeen(world, 'reviews-v3', 'ratings', 3);
        await pause(world, 3000);
      });

      const { diagnostics } = await world.agent('productpage').status();
      const told = diagnostics.find(({ message }) => message.includes('rogue-plain'));
      const plain = await countsOf(world, address, PLAIN_PORT);
      report.check(
        told !== undefined && plain.connections === 0,
        'a plain-text instance is not used, and the agent says so',
        `${plain.connections} connections; ${told?.code ?? 'no diagnostic'}`,
      );
      const liar = await countsOf(world, address, LIAR_PORT);
      report.check(
        liar.requests === 0 && liar.connections > 0,
        'one that claims mutual TLS gets connections, but no request',
        `${liar.requests} requests, ${liar.connections} handshakes given up`,
      );
      const reached = (await impostorCount(world)) - before;
      report.check(
        reached === 0,
        `${IMPOSTOR.name} gets no request in the name of ratings`,
        `${reached} requests by reviews`,
      );
      const strange = samples.filter(({ instances }) => Object.values(instances ?? {}).includes('rogue')).length;
      report.check(strange === 0, 'no answer came from a rogue', `${strange} of ${samples.length}`);
      report.check(figures.failures === 0, 'no request failed', failedOf(figures));
      report.highlight(`${liar.connections} handshakes refused, 0 requests`);
    } finally {
      for (const id of ['rogue-plain', 'rogue-liar', 'rogue-impostor'])
        await world.consul.call(REGISTRY, 'PUT', `/v1/agent/service/deregister/${id}`).catch(() => undefined);
      await Promise.all(servers.map((server) => server.end('SIGTERM')));
    }
  },
};

function startServer(world: World, address: string, port: number): Program {
  const script = join(import.meta.dirname, '../rogue/plain-server.ts');
  return world.programs.start(REGISTRY, `rogue-${port}`, [process.execPath, script, address, String(port)]);
}

async function register(world: World, registration: Readonly<Record<string, unknown>>): Promise<void> {
  await world.consul.call(REGISTRY, 'PUT', '/v1/agent/service/register', registration);
}

interface Counts {
  readonly requests: number;
  readonly connections: number;
}

async function countsOf(world: World, address: string, port: number): Promise<Counts> {
  return JSON.parse(await httpFrom(world.network, REGISTRY, `http://${address}:${port}/counts`)) as Counts;
}

/** Requests that the impostor's application got from reviews, which has no business there. */
async function impostorCount(world: World): Promise<number> {
  const url = `http://${applicationAddress(world.network, IMPOSTOR)}/counts`;
  const counts = JSON.parse(await httpFrom(world.network, IMPOSTOR, url)) as Readonly<Record<string, number>>;
  return counts[identityOf('reviews')] ?? 0;
}

async function endpointsSeen(world: World, caller: string, service: string, total: number): Promise<void> {
  const what = `${caller} sees ${total} endpoints of ${service}`;
  await waitFor({ what, timeoutMs: 120_000, signal: world.signal }, async () => {
    const { upstreams } = await world.agent(caller).status();
    return upstreams.some(
      (upstream) => upstream.service.startsWith(`${service}.`) && upstream.endpoints.total === total,
    );
  });
}
