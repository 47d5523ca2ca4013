/** Ports of applications that the kernel turns to Envoy, in network namespaces, with the rules of capture. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Host, InboundPort, Workload } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { MtlsMode, PeerAuthentication } from '../../src/model/peer-authentication.ts';
import { cannotCapture, type Namespace, twoNamespaces } from '../capture/netns.ts';
import { EMPTY_PLAN, load } from '../capture/plans.ts';
import { eventually } from '../support/eventually.ts';
import { type Agentlet, startAgentlet } from './agentlet.ts';
import { testAuthority } from './certificates.ts';
import { endpoint, host, mesh, service, spiffe, upstream, workload } from './mesh-literals.ts';
import { greeter, httpServer, requests, whole } from './programs.ts';

const skip = cannotCapture();
const authority = await testAuthority();
const ADDRESS = '10.9.0.1';
const ADDRESS6 = '2001:db8:9::1';
const PORTS = { redirected: 8080, kept: 8081, bytes: 8082, observed: 8083 } as const;

function captured(port: number, capture: 'redirect' | 'tproxy', protocol: 'HTTP' | 'TCP'): InboundPort {
  const listen = { address: ADDRESS, port };
  return { listen, application: listen, protocol, capture };
}

function instance(name: string, inbound: InboundPort, rest: Partial<Workload> = {}): Workload {
  return { ...workload(name, 'HTTP', 0, 0), inbound, ...rest };
}

const WORKLOADS = [
  instance('redirected', captured(PORTS.redirected, 'redirect', 'HTTP')),
  instance('kept', captured(PORTS.kept, 'tproxy', 'HTTP')),
  instance('bytes', captured(PORTS.bytes, 'redirect', 'TCP')),
  instance('observed', captured(PORTS.observed, 'redirect', 'TCP'), { mode: 'observe' }),
];

function policy(mode: MtlsMode, app?: string): PeerAuthentication {
  const source = { file: 'x.yaml', line: 1 };
  const meta = { kind: 'PeerAuthentication', namespace: 'default', name: app ?? 'all', labels: {}, source, age: 0 };
  return { meta, selector: app === undefined ? undefined : { app }, mode, portModes: new Map() };
}

/** The port that speaks first has no mutual TLS. */
const policies = (mode: MtlsMode): Partial<Mesh> => ({
  peerAuthentications: [policy(mode), policy('DISABLE', 'bytes')],
});

interface Scene {
  readonly here: Namespace;
  readonly other: Namespace;
  readonly server: Agentlet;
  readonly tell: (next: Mesh) => void;
}

/** Unchanged applications on the host's own addresses, with Envoy before them; a client's Envoy on the other host. */
async function start(t: TestContext): Promise<Scene> {
  const { host: here, other } = await twoNamespaces(t);
  // As the set-up of capture has it on a host.
  await here.run('ip', '-6', 'address', 'add', '::6/128', 'dev', 'lo');
  for (const family of ['-4', '-6']) {
    await here.run('ip', family, 'rule', 'add', 'fwmark', '1337', 'lookup', '133');
    await here.run('ip', family, 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '133');
  }
  const both = (port: number): readonly string[] => [`${ADDRESS}|${port}`, `${ADDRESS6}|${port}`];
  await httpServer(here, ...both(PORTS.redirected), ...both(PORTS.kept));
  await greeter(here, 'bytes', ...both(PORTS.bytes), ...both(PORTS.observed));
  const self: Host = host({
    nodeId: 'server',
    workloads: WORKLOADS,
    callerIdentity: undefined,
    inboundCapturePort: 15006,
  });
  const server = await startAgentlet(t, self, here);
  const secrets = await authority.secrets(...WORKLOADS.map(({ identity }) => identity));
  const tell = (next: Mesh): void => server.serve(next, secrets);
  tell(mesh([], policies('PERMISSIVE')));
  await eventually('the listener', async () => (await here.run('ss', '-ltn')).includes(':15006'));
  await load(t, here, {
    ...EMPTY_PLAN,
    inbound: Object.values(PORTS).map((port) => ({
      port,
      how: port === PORTS.kept ? 'tproxy' : 'redirect',
      onProxyFailure: 'deny',
    })),
  });
  return { here, other, server, tell };
}

function said(answer: string | undefined): { readonly caller: string; readonly from: string; readonly at: string } {
  assert.match(answer ?? '', /^200 /);
  const { caller, from, at } = JSON.parse(answer?.slice(4) ?? '') as Record<'caller' | 'from' | 'at', string>;
  return { caller, from, at };
}

test('captured ports', { skip }, async (t) => {
  const { here, other, server, tell } = await start(t);

  await t.test('redirect: the application is called on the address that its caller dialled', async () => {
    for (const [address, from] of [
      [ADDRESS, '127.0.0.6'],
      [ADDRESS6, '::6'],
    ] as const)
      assert.deepEqual(said((await requests(other, address, PORTS.redirected))[0]), {
        caller: '',
        from,
        at: `${address}|${PORTS.redirected}`,
      });
  });

  await t.test('tproxy: and sees its caller’s address', async () => {
    for (const [address, from] of [
      [ADDRESS, '10.9.0.2'],
      [ADDRESS6, '2001:db8:9::2'],
    ] as const)
      assert.deepEqual(said((await requests(other, address, PORTS.kept))[0]), {
        caller: '',
        from,
        at: `${address}|${PORTS.kept}`,
      });
  });

  await t.test('TCP without mutual TLS, and mode observe: a server that speaks first is heard', async () => {
    for (const port of [PORTS.bytes, PORTS.observed])
      for (const address of [ADDRESS, ADDRESS6])
        assert.equal(await whole(other, address, port, 'x'), 'greeting of bytes\nxgoodbye\n');
    const stats = await server.stats('cluster.inbound.*upstream_cx_total');
    for (const port of Object.values(PORTS))
      assert.match(stats, new RegExp(`inbound\\|${port}\\|\\|;.upstream_cx_total: [1-9]`));
  });

  await t.test('a port answers with its own workload’s certificate', async (inner) => {
    const names = ['redirected', 'kept'] as const;
    const services = names.map((name) => [service(name, 'HTTP'), [endpoint(ADDRESS, PORTS[name])]] as const);
    const upstreams = names.map((name, i) => upstream(name, 9001 + i));
    const client = await startAgentlet(inner, host({ nodeId: 'client', upstreams }), other);
    const secrets = await authority.secrets(spiffe('caller'));
    client.serve(mesh(services), secrets);
    for (const i of [0, 1]) {
      await eventually(
        'it is called',
        async () => (await requests(other, '127.0.0.1', 9001 + i))[0]?.startsWith('200') === true,
      );
      assert.equal(said((await requests(other, '127.0.0.1', 9001 + i))[0]).caller, spiffe('caller'));
    }
    // Each expects the other's identity, and gets nothing.
    const swapped = services.map(
      ([item, endpoints], i) => [{ ...item, identities: [spiffe(names[1 - i] ?? '')] }, endpoints] as const,
    );
    client.serve(mesh(swapped), secrets);
    for (const i of [0, 1])
      await eventually(
        'it is refused',
        async () => (await requests(other, '127.0.0.1', 9001 + i))[0]?.startsWith('503') === true,
      );
    assert.deepEqual(client.rejected, []);
  });

  await t.test('who connects to the capture port itself is let go', async () => {
    await here.run('nft', 'flush', 'chain', 'inet', 'trysail', 'refuse_direct');
    for (const address of [ADDRESS, ADDRESS6])
      assert.match(await whole(other, address, 15006, 'x'), /^(ECONNRESET|EPIPE|)$/);
  });

  await t.test('STRICT: in plain text nobody gets in', async () => {
    tell(mesh([], policies('STRICT')));
    await eventually(
      'it is refused',
      async () => (await requests(other, ADDRESS, PORTS.redirected))[0]?.startsWith('200') !== true,
    );
    assert.doesNotMatch((await requests(other, ADDRESS, PORTS.kept))[0] ?? '', /^200/);
    assert.match(await server.stats('listener_in_place_updated'), /: 1$/m);
  });

  assert.deepEqual(server.rejected, [], server.output());
});
