/** Calls that the kernel turns to Envoy, in a network namespace with plain nftables rules. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Caller, Host, NamedUpstream } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Service } from '../../src/model/service.ts';
import { cannotCapture, type Namespace, twoNamespaces } from '../capture/netns.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Agentlet, startAgentlet } from './agentlet.ts';
import { testAuthority } from './certificates.ts';
import { endpoint, host, mesh, SERVICE_PORT, service, spiffe, workload } from './mesh-literals.ts';
import { greeter, httpServer, keptConnection, requests, whole } from './programs.ts';

const skip = cannotCapture();
const authority = await testAuthority();

const ANNA = { identity: spiffe('anna'), namespace: 'default', capturePort: 15001 } as const satisfies Caller;
const BERT = { identity: spiffe('bert', 'payments'), namespace: 'payments', capturePort: 15101 } as const;
const [ANNA_UID, BERT_UID, OTHER_UID] = [1001, 1002, 1003];

const REVIEWS = '240.240.0.1';
const REVIEWS6 = '2001:2::1';
const LEDGER = '240.240.0.2';

const CLOSED = /^(ECONNRESET|EPIPE|)$/;

const NAMED: readonly NamedUpstream[] = [
  { serviceHost: 'reviews.default.mesh', addresses: [REVIEWS, REVIEWS6] },
  { serviceHost: 'ledger.default.mesh', addresses: [LEDGER] },
];

/** Connections of two users to their caller's port. */
const RULES = `
table inet test {
  chain output {
    type nat hook output priority -100; policy accept;
    meta skuid ${ANNA_UID} meta l4proto tcp tcp dport != { 15001, 15101 } redirect to :15001
    meta skuid ${BERT_UID} meta l4proto tcp tcp dport != { 15001, 15101 } redirect to :15101
  }
}
`;

interface Scene {
  readonly host: Namespace;
  readonly other: Namespace;
  readonly client: Agentlet;
  readonly self: Host;
  readonly instances: Mesh;
  /** What the client's Envoy is told. */
  readonly tell: (next: Mesh, self?: Host) => void;
  readonly reviews: Service;
  readonly ledger: Service;
}

/** Two callers on one host; on another one `reviews` (HTTP) and `ledger` (TCP) with an Envoy before them. */
async function start(t: TestContext, rest: Partial<Host> = {}): Promise<Scene> {
  const hosts = await twoNamespaces(t);
  await hosts.host.run('ip', 'route', 'add', 'default', 'via', '10.9.0.2');
  await hosts.host.run('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:9::2');
  await httpServer(hosts.other, '127.0.0.1|8080');
  await greeter(hosts.other, 'ledger', '127.0.0.1|8081');
  await greeter(hosts.other, 'elsewhere', '10.9.0.2|7000', '2001:db8:9::2|7000');
  const reviews = service('reviews', 'HTTP');
  const ledger = service('ledger', 'TCP', {
    ports: [SERVICE_PORT, SERVICE_PORT + 1].map((number) => ({ number, name: `tcp-${number}`, protocol: 'TCP' })),
  });
  const instances = mesh(
    [
      [reviews, [endpoint('10.9.0.2', 9080)]],
      [ledger, [endpoint('10.9.0.2', 9081, { ports: { [SERVICE_PORT]: 9081, [SERVICE_PORT + 1]: 9081 } })]],
    ],
    {
      peerAuthentications: [
        {
          meta: {
            kind: 'PeerAuthentication',
            namespace: 'default',
            name: 'x',
            labels: {},
            source: { file: 'x', line: 1 },
            age: 0,
          },
          selector: undefined,
          mode: 'STRICT',
          portModes: new Map(),
        },
      ],
    },
  );
  const on = (port: number, applicationPort: number, name: string, protocol: 'HTTP' | 'TCP') => ({
    ...workload(name, protocol, port, applicationPort),
    inbound: {
      listen: { address: '10.9.0.2', port },
      protocol,
      application: { address: '127.0.0.1', port: applicationPort },
    },
  });
  const workloads = [on(9080, 8080, 'reviews', 'HTTP'), on(9081, 8081, 'ledger', 'TCP')];
  const server = await startAgentlet(t, host({ nodeId: 'server', workloads, callerIdentity: undefined }), hosts.other);
  server.serve(instances, await authority.secrets(spiffe('reviews'), spiffe('ledger')));
  const self = host({
    nodeId: 'client',
    callerIdentity: undefined,
    callers: [ANNA, BERT],
    namedUpstreams: NAMED,
    ...rest,
  });
  const client = await startAgentlet(t, self, hosts.host);
  const secrets = await authority.secrets(ANNA.identity, BERT.identity);
  client.serve(instances, secrets);
  const rules = join(await tempDir(t), 'rules.nft');
  await writeFile(rules, RULES);
  await hosts.host.run('nft', '-f', rules);
  await eventually('the first listener', async () =>
    (await client.stats('listener_manager.workers_started')).endsWith(': 1\n'),
  );
  await eventually(
    'the service',
    async () => (await requests(hosts.host, REVIEWS, SERVICE_PORT, { uid: ANNA_UID }))[0]?.startsWith('200') === true,
  );
  return {
    ...hosts,
    client,
    reviews,
    ledger,
    self,
    instances,
    tell: (next, now) => client.serve(next, secrets, now),
  };
}

async function count(client: Agentlet, name: string): Promise<number> {
  const line = (await client.stats(name)).split('\n').find((each) => each.startsWith(`${name}: `));
  return Number(line?.slice(name.length + 2) ?? 0);
}

test('captured calls', { skip }, async (t) => {
  const scene = await start(t);
  const { host: here, client } = scene;
  const callerOf = (answer: string | undefined): string =>
    answer?.startsWith('200 ') === true ? String(JSON.parse(answer.slice(4)).caller) : String(answer);

  await t.test('each caller as itself, over IPv4 and IPv6', async () => {
    for (const address of [REVIEWS, REVIEWS6]) {
      const [anna, bert] = await Promise.all([
        requests(here, address, SERVICE_PORT, { uid: ANNA_UID, count: 50 }),
        requests(here, address, SERVICE_PORT, { uid: BERT_UID, count: 50 }),
      ]);
      assert.deepEqual([...new Set(anna.map(callerOf))], [ANNA.identity]);
      assert.deepEqual([...new Set(bert.map(callerOf))], [BERT.identity]);
    }
  });

  await t.test('TCP: a server that speaks first is heard', async () => {
    assert.equal(await whole(here, LEDGER, SERVICE_PORT, 'x', BERT_UID), 'greeting of ledger\nxgoodbye\n');
  });

  await t.test('to nobody of the mesh: byte for byte, counted', async () => {
    for (const address of ['10.9.0.2', '2001:db8:9::2']) {
      const direct = await whole(here, address, 7000, 'some bytes', OTHER_UID);
      assert.equal(direct, 'greeting of elsewhere\nsome bytesgoodbye\n');
      assert.equal(await whole(here, address, 7000, 'some bytes', ANNA_UID), direct);
    }
    assert.equal(await count(client, 'cluster.PassthroughCluster;.upstream_cx_total'), 2);
  });

  await t.test('a port that a service by name does not have is closed at once', async () => {
    // Nobody has the first one; `ledger` has the second.
    for (const port of [1234, SERVICE_PORT + 1])
      for (const address of [REVIEWS, REVIEWS6]) assert.match(await whole(here, address, port, 'x', ANNA_UID), CLOSED);
    assert.equal(await whole(here, LEDGER, SERVICE_PORT + 1, 'x', ANNA_UID), 'greeting of ledger\nxgoodbye\n');
  });

  await t.test('who connects to the port itself is let go at once', async () => {
    const before = await count(client, 'cluster.PassthroughCluster;.upstream_cx_total');
    for (const address of ['127.0.0.1', '::1'])
      for (const { capturePort } of [ANNA, BERT])
        for (const uid of [ANNA_UID, BERT_UID, OTHER_UID])
          assert.match(await whole(here, address, capturePort, 'x', uid), CLOSED);
    assert.equal(await count(client, 'cluster.PassthroughCluster;.upstream_cx_total'), before);
    assert.ok((await count(client, 'tcp.BlackHoleCluster;.downstream_cx_total')) >= 12);
  });

  await t.test('a service that changes costs connections to others nothing', async () => {
    const inPlace = (): Promise<number> => count(client, 'listener_manager.listener_in_place_updated');
    const kept = [
      keptConnection(here, LEDGER, SERVICE_PORT, ANNA_UID),
      keptConnection(here, '10.9.0.2', 7000, ANNA_UID),
      keptConnection(here, LEDGER, SERVICE_PORT, BERT_UID),
    ];
    const goesOn = async (): Promise<void> => {
      const before = kept.map((child) => child.output().length);
      await eventually('answers on connections of before', () =>
        kept.every((child, i) => child.output().length > (before[i] ?? 0) + 10),
      );
      for (const child of kept) assert.doesNotMatch(child.output(), /closed|E[A-Z]+/);
    };
    await goesOn();
    const { instances, reviews, tell } = scene;
    const [port] = reviews.ports;
    assert.ok(port);
    const before = await inPlace();
    const bytes = { ...reviews, ports: [{ ...port, protocol: 'TCP' as const }] };
    tell({ ...instances, services: new Map(instances.services).set(reviews.host, bytes) });
    await eventually('both listeners are changed in place', async () => (await inPlace()) === before + 2);
    await goesOn();
    tell(instances);
    await eventually('they are changed back', async () => (await inPlace()) === before + 4);
    await goesOn();
    assert.equal(callerOf((await requests(here, REVIEWS, SERVICE_PORT, { uid: ANNA_UID }))[0]), ANNA.identity);
    assert.equal(await count(client, 'listener_manager.listener_modified'), before + 4);
    for (const child of kept) await child.stop();
  });

  await t.test('AUTO: requests by the rules of HTTP, bytes as they are, others without a wait', async () => {
    const { instances, reviews, ledger, tell } = scene;
    const detected = (item: Service): Service => ({
      ...item,
      ports: item.ports.map((port) => ({ ...port, protocol: 'AUTO' })),
    });
    tell({ ...instances, services: new Map(instances.services).set(reviews.host, detected(reviews)) });
    const http = 'http.outbound_240.240.0.1_9080;.downstream_cx_http1_total';
    await eventually(
      'the other listener',
      async () => (await count(client, 'listener_manager.total_listeners_draining')) > 0,
    );
    const before = await count(client, http);
    assert.equal(callerOf((await requests(here, REVIEWS, SERVICE_PORT, { uid: BERT_UID }))[0]), BERT.identity);
    assert.equal(await count(client, http), before + 1);
    assert.equal(await whole(here, '10.9.0.2', 7000, 'x', BERT_UID), 'greeting of elsewhere\nxgoodbye\n');
    const created = (): Promise<number> => count(client, 'listener_manager.listener_create_success');
    const all = await created();
    tell({ ...instances, services: new Map(instances.services).set(ledger.host, detected(ledger)) });
    await eventually('the other listener', async () => (await created()) === all + 2);
    const bytes = keptConnection(here, LEDGER, SERVICE_PORT, BERT_UID);
    await eventually('bytes are found out', () => bytes.output().startsWith('greeting of ledger\n0\n1\n'));
    await bytes.stop();
    tell(instances);
  });

  await t.test('mode observe: on to where they were going', async () => {
    const { instances, self, tell } = scene;
    tell(instances, { ...self, callers: [{ ...ANNA, mode: 'observe' }, BERT] });
    await eventually('anna is observed', async () => {
      const answer = (await requests(here, REVIEWS, SERVICE_PORT, { uid: ANNA_UID }))[0];
      return answer?.startsWith('200') !== true;
    });
    assert.equal(await whole(here, '10.9.0.2', 7000, 'x', ANNA_UID), 'greeting of elsewhere\nxgoodbye\n');
    assert.equal(callerOf((await requests(here, REVIEWS, SERVICE_PORT, { uid: BERT_UID }))[0]), BERT.identity);
  });

  assert.deepEqual(client.rejected, []);
});

test('a host that has switched IPv6 off, and a caller at every address', { skip }, async (t) => {
  const { host: here } = await twoNamespaces(t);
  await here.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6');
  const self = host({ callerIdentity: undefined, callers: [{ ...ANNA, everywhere: true }] });
  const client = await startAgentlet(t, self, here);
  client.serve(mesh([]), await authority.secrets(ANNA.identity));
  const answer = async (): Promise<string> => whole(here, '10.9.0.1', 15001, 'x');
  await eventually('it listens', async () => (await here.run('ss', '-ltn')).includes('0.0.0.0:15001'));
  assert.match(await answer(), CLOSED, 'who is not captured goes nowhere');
  assert.deepEqual(client.rejected, []);
});
