/**
 * The life of hosts on real systemd: joined by token, applications as ordinary units that call each other by name in
 * plain HTTP; what is on the wire, a canary, reboots, a power cut, a shutdown.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { canBootMachines } from './capability.ts';
import { type FleetHost, startFleet, untilWell } from './fleet.ts';
import { failed, type LoadSample, startLoad, summary } from './load.ts';
import type { Machine } from './machine.ts';
import { untilConsulLeads } from './mesh-machines.ts';
import { captureWire, noTshark } from './wire.ts';

const reason = await canBootMachines();

const CHECK = { http: '/health', interval: '2s' };
const ENVOY = { concurrency: 1, drainTime: '10s' };
const REVIEWS = 'http://reviews.default.mesh:9080/';

/** vm1 calls by name alone; vm2 is captured, both ways; vm3 has two identities. */
const HOSTS: readonly FleetHost[] = [
  {
    name: 'vm1',
    number: 3,
    applications: [{ unit: 'productpage', listen: '127.0.0.1:9080', peers: ['http://reviews.mesh:9080/chain'] }],
    agent: {
      services: [{ name: 'productpage', port: 9080, protocol: 'HTTP', check: CHECK }],
      upstreams: [{ service: 'reviews' }, { service: 'ratings' }],
      envoy: ENVOY,
    },
  },
  {
    name: 'vm2',
    number: 4,
    // At all addresses, as applications do before anybody speaks of a mesh.
    applications: [{ unit: 'reviews', listen: '0.0.0.0:9080', peers: ['http://ratings.default.mesh:9180/'] }],
    agent: {
      services: [
        {
          name: 'reviews',
          version: 'v1',
          port: 9080,
          protocol: 'HTTP',
          capture: 'redirect',
          unit: 'reviews.service',
          check: CHECK,
        },
      ],
      upstreams: [{ service: 'ratings' }, { service: 'productpage' }],
      capture: { outbound: 'listed' },
      dns: { addresses: ['240.240.0.0/16'] },
      envoy: ENVOY,
    },
  },
  {
    name: 'vm3',
    number: 5,
    applications: [
      { unit: 'reviews', version: 'v3', listen: '127.0.0.1:9080', peers: ['http://ratings.default.mesh:9180/'] },
      { unit: 'ratings', listen: '127.0.0.1:9180' },
    ],
    agent: {
      services: [
        { name: 'reviews', version: 'v3', port: 9080, protocol: 'HTTP', unit: 'reviews.service', check: CHECK },
        { name: 'ratings', port: 9180, protocol: 'HTTP', unit: 'ratings.service', check: CHECK },
      ],
      upstreams: [{ service: 'ratings' }, { service: 'productpage' }],
      capture: { outbound: 'listed' },
      envoy: ENVOY,
    },
  },
];

const SERVICES = ['productpage', 'reviews', 'ratings']
  .map(
    (name) => `apiVersion: trysail.dev/v1
kind: Service
metadata: { name: ${name} }
spec:
  ports: [{ number: ${name === 'ratings' ? 9180 : 9080}, name: http, protocol: HTTP }]
  tls: required
`,
  )
  .join('---\n');

const RETRIES = '{ attempts: 3, perTryTimeout: 2s, retryOn: "connect-failure,refused-stream,reset,503" }';

/** As in the demo: by weight, with retries, and with outlier detection for instances that do not answer. */
const routing = (v1: number, v3: number): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - route:
        - { destination: { host: reviews, subset: v1 }, weight: ${v1} }
        - { destination: { host: reviews, subset: v3 }, weight: ${v3} }
      retries: ${RETRIES}
`;

/** Any instance of reviews; requests below /bare are sent once, come what may. */
const balanced = (retries: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - match: [{ uri: { prefix: /bare } }]
      route: [{ destination: { host: reviews } }]
      retries: { attempts: 0 }
    - route: [{ destination: { host: reviews } }]
      retries: ${retries}
`;

const DESTINATION = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: { simple: ROUND_ROBIN }
    connectionPool: { tcp: { connectTimeout: 250ms } }
    outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 5s, maxEjectionPercent: 50, alwaysEjectOneHost: true }
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v3, labels: { version: v3 } }
`;

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`;

const identity = (account: string): string => `spiffe://prod.example/ns/default/sa/${account}`;

/** What an application answers. */
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Who a service takes for the caller. */
function callerOf({ status, body }: Answer): string | undefined {
  if (status !== 200) return undefined;
  const { caller } = JSON.parse(body) as { readonly caller: string | null };
  return /URI=([^;,]+)/.exec(caller ?? '')?.[1];
}

/** Has the application of a machine that listens on `port` call a URL from its own process. */
async function callFrom(machine: Machine, port: number, url: string, host?: string): Promise<Answer> {
  const query = new URLSearchParams({ url, ...(host !== undefined && { host }) });
  return JSON.parse(await machine.run(`curl -sS -m 15 'http://127.0.0.1:${port}/call?${query.toString()}'`)) as Answer;
}

/** Resolves when each of the versions of reviews answers calls from a machine. */
async function untilServing(machine: Machine, versions: readonly string[], timeoutMs = 180_000): Promise<void> {
  const seen = new Set<string>();
  await eventually(
    `${machine.name} reaches reviews ${versions.join(' and ')}`,
    async () => {
      const answer = await machine.run(`curl -sSf -m 3 ${REVIEWS}`);
      seen.add((JSON.parse(answer) as { readonly version: string }).version);
      return versions.every((version) => seen.has(version));
    },
    timeoutMs,
  );
}

const shareOf = (version: string, samples: readonly LoadSample[]): number =>
  samples.filter((sample) => sample.version === version).length / samples.length;

function noneFailed(t: TestContext, what: string, samples: readonly LoadSample[]): void {
  t.diagnostic(`${what}: ${summary(samples)}`);
  assert.ok(samples.length > 0);
  assert.deepEqual(failed(samples), [], what);
}

test('the life of hosts', { skip: reason ?? false, timeout: 1_200_000 }, async (t) => {
  const began = Date.now();
  const seconds = (since: number): string => `${((Date.now() - since) / 1000).toFixed(1)} s`;
  const [tsharkMissing, fleet] = await Promise.all([
    noTshark(),
    startFleet(t, {
      hosts: HOSTS,
      resources: { 'services.yaml': SERVICES, 'reviews.yaml': balanced(RETRIES), 'reviews-rule.yaml': DESTINATION },
    }),
  ]);
  t.diagnostic(`four machines made, installed and joined in ${seconds(began)}`);
  const [vm1, vm2, vm3] = [fleet.host('vm1'), fleet.host('vm2'), fleet.host('vm3')];

  await t.test('join says who the host is, and leaves a host that is well and in the mesh', async () => {
    for (const [machine, accounts, captured] of [
      [vm1, ['productpage'], false],
      [vm2, ['reviews'], true],
      [vm3, ['reviews', 'ratings'], true],
    ] as const) {
      const said = fleet.joined(machine.name);
      assert.match(said, new RegExp(`${machine.name} \\(${machine.address}\\) is in the mesh prod\\.example`));
      for (const account of accounts) assert.ok(said.includes(identity(account)), said);
      assert.equal(said.includes('trysail capture apply'), captured, said);
      const state = await machine.run('trysail join --check');
      assert.equal(await machine.run('trysail join --check'), state);
      await untilWell(machine);
      const checked = await machine.try('trysail check');
      // No clock of these machines is synchronised: they have this one's.
      const complaints = checked.stdout.split('\n').filter((line) => /^ +(error|warning) (?!TRY1111)/.test(line));
      assert.deepEqual(complaints, [], checked.stdout);
    }
    await untilServing(vm1, ['v1', 'v3']);
    // Three machines, from one application to the next by name, all of it plain HTTP to them.
    const chain = await vm1.run('curl -sS http://127.0.0.1:9080/chain');
    assert.match(chain, /"name": "productpage".*"name": "reviews".*"name": "ratings"/);
  });

  await t.test('on the wire there is mutual TLS, and nothing to read', { skip: tsharkMissing ?? false }, async (t) => {
    const inMesh = 'in-the-mesh-9d1f';
    const outside = 'past-the-mesh-4c7a';
    const wire = await captureWire(t, fleet.network, vm1);
    for (let i = 0; i < 6; i++)
      assert.match(await vm1.run(`curl -sSf '${REVIEWS}?echo=${inMesh}'`), new RegExp(inMesh));
    // The control: the same application, asked without the mesh, which it still may be.
    assert.match(await vm1.run(`curl -sSf 'http://${vm2.address}:9080/?echo=${outside}'`), new RegExp(outside));
    const readable = await eventually('the control: tshark reads what is not encrypted', async () => {
      const frames = await wire.frames(`frame contains "${outside}"`, 'ip.src', 'ip.dst');
      assert.deepEqual([...new Set(frames)].sort(), [
        `${vm1.address}\t${vm2.address}`,
        `${vm2.address}\t${vm1.address}`,
      ]);
      return frames;
    });
    await wire.stop();
    assert.deepEqual(await wire.frames(`frame contains "${inMesh}"`, 'ip.src', 'ip.dst'), []);
    const bytes = await wire.frames(
      `tls.app_data and ip.src == ${vm1.address} and (ip.dst == ${vm2.address} or ip.dst == ${vm3.address})`,
      'ip.dst',
    );
    assert.deepEqual([...new Set(bytes)].sort(), [vm2.address, vm3.address], 'calls to both instances were seen');
    t.diagnostic(`${bytes.length} frames with TLS records to peers, ${readable.length} readable frames of the control`);

    await fleet.apply('strict.yaml', STRICT);
    await eventually('plain text is refused', async () => {
      assert.notEqual((await vm1.try(`curl -sS -m 3 http://${vm2.address}:9080/`)).code, 0);
      assert.notEqual((await vm1.try(`curl -sS -m 3 http://${vm3.address}:9080/`)).code, 0);
    });
    await untilServing(vm1, ['v1', 'v3']);
  });

  await t.test('each unit of a host calls as itself and as nobody else', async (t) => {
    const whoami = 'http://productpage.mesh:9080/';
    const ports = { reviews: 9080, ratings: 9180 };
    const rounds = Array.from({ length: 8 }, () => Object.entries(ports)).flat();
    const seen = await Promise.all(
      rounds.map(async ([unit, port]) => [unit, callerOf(await callFrom(vm3, port, whoami))] as const),
    );
    for (const [unit, caller] of seen) assert.equal(caller, identity(unit));
    // As others know the ports: of all of them, whosever they are.
    const { ports: taken } = JSON.parse(await vm3.run('cat /var/lib/trysail/capture-ports.json')) as {
      readonly ports: Readonly<Record<string, number>>;
    };
    const numbers = Object.values(taken);
    assert.equal(numbers.length, 2, JSON.stringify(taken));
    for (const number of numbers) {
      for (const at of ['127.0.0.1', vm3.address]) {
        const url = `http://${at}:${number}/`;
        const fromUnit = await callFrom(vm3, ports.ratings, url, 'productpage.mesh:9080');
        assert.notEqual(fromUnit.status, 200, `${url}: ${fromUnit.body}`);
        const fromRoot = await vm3.try(`curl -sS -m 5 -H 'Host: productpage.mesh:9080' ${url}`);
        assert.notEqual(fromRoot.code, 0, fromRoot.stdout);
      }
    }
    // Somebody else on the host, whom nobody named, has no identity to call with.
    const other = await vm3.try(`curl -sS -m 5 ${whoami}`);
    assert.notEqual(other.code, 0, other.stdout);
    t.diagnostic(
      `${seen.length} calls, each under its own name; ${numbers.length * 4} knocks at captured ports, all refused`,
    );
  });

  await t.test('a canary goes from v1 to v3 by weight, and no request fails', async (t) => {
    await fleet.apply('reviews.yaml', routing(100, 0), ['vm1']);
    const load = await startLoad(vm1, { url: REVIEWS });
    for (const [v1, v3] of [
      [100, 0],
      [75, 25],
      [0, 100],
    ] as const) {
      await fleet.apply('reviews.yaml', routing(v1, v3), ['vm1']);
      await eventually(`${v1}/${v3} takes effect`, async () => {
        const share = shareOf('v3', (await load.next(30)).slice(-30));
        return v3 === 0 ? share === 0 : v3 === 100 ? share === 1 : share > 0;
      });
      const samples = await load.next(300);
      const share = shareOf('v3', samples);
      // Seven standard deviations of chance.
      const allowed = 7 * Math.sqrt((v3 / 100) * (1 - v3 / 100) * (1 / samples.length));
      t.diagnostic(`${v1}/${v3}: v3 has ${(share * 100).toFixed(1)} % of ${samples.length}`);
      assert.ok(Math.abs(share - v3 / 100) <= allowed, `${share} of v3`);
    }
    noneFailed(t, 'canary', await load.stop());
    await fleet.apply('reviews.yaml', balanced(RETRIES), ['vm1']);
    await untilServing(vm1, ['v1', 'v3']);
  });

  await t.test('shutdown: out of Consul, drained, and no request fails, nor is one tried twice', async (t) => {
    await fleet.apply('reviews.yaml', balanced('{ attempts: 0 }'), ['vm1']);
    const load = await startLoad(vm1, { url: REVIEWS });
    assert.ok(shareOf('v3', await load.next(60)) > 0);
    const since = Date.now();
    await vm3.powerOff();
    t.diagnostic(`vm3 shut down in ${seconds(since)}`);
    assert.equal(shareOf('v1', (await load.next(60)).slice(-30)), 1);
    const sinceBoot = Date.now();
    await vm3.boot();
    await eventually('v3 serves again', async () => shareOf('v3', await load.next(10)) > 0, 180_000);
    t.diagnostic(`vm3 served ${seconds(sinceBoot)} after its start`);
    noneFailed(t, 'shutdown and start', await load.stop());
    await fleet.apply('reviews.yaml', balanced(RETRIES), ['vm1']);
    const journal = await vm3.run("journalctl -b -1 --no-pager -o cat -u 'trysail*'");
    const order = [
      /the agent stops; Envoy serves on/,
      /reviews-vm3 is out of Consul/,
      /Envoy is drained|the time is up/,
      /Stopped trysail-drain\.service/,
      /Stopped trysail-envoy\.service/,
    ].map((line) => journal.search(line));
    assert.ok(
      order.every((at, i) => at > (order[i - 1] ?? -1)),
      `${order.join()}\n${journal}`,
    );
  });

  await t.test('a power cut costs what the limits say, and the host comes back', async (t) => {
    const load = await startLoad(vm1, { url: REVIEWS });
    const bare = await startLoad(vm1, { url: `${REVIEWS}bare`, unit: 'bare', rate: 20, workers: 4 });
    assert.ok(shareOf('v3', await load.next(60)) > 0);
    const since = Date.now();
    // The cable first: nobody says good-bye for a machine without power.
    await fleet.network.run('ip', 'link', 'set', 'vb-vm3', 'down');
    await vm3.kill();
    await eventually(
      'Consul says so',
      async () => {
        const text = await vm1.run('curl -sS http://127.0.0.1:8500/v1/health/service/reviews?passing');
        return (JSON.parse(text) as readonly unknown[]).length === 1;
      },
      180_000,
    );
    t.diagnostic(`Consul's checks knew after ${seconds(since)}`);
    // Until the last request that was under way has been given up.
    await bare.next(60);
    const sinceBoot = Date.now();
    await vm3.boot();
    await eventually('v3 serves again', async () => shareOf('v3', await load.next(10)) > 0, 180_000);
    t.diagnostic(`vm3 served ${seconds(sinceBoot)} after its start`);
    await bare.next(40);
    noneFailed(t, 'with retries and a limit to each try', await load.stop());
    const once = await bare.stop();
    t.diagnostic(`sent once, without a limit: ${summary(once)}`);
    // What each connection had under way is lost, and told; nothing hangs for good, nor is lost later.
    assert.ok(failed(once).length > 0 && failed(once).length <= 4, summary(once));
    assert.ok(failed(once).every(({ status, t: at }) => status === 503 && at < sinceBoot));
  });

  await t.test('a reboot with the CA and the Consul server away: it comes back by itself', async (t) => {
    await untilWell(vm3);
    await fleet.server.powerOff();
    await vm3.reboot();
    const since = Date.now();
    await untilServing(vm1, ['v1', 'v3']);
    await eventually('vm3 reaches peers', async () =>
      assert.equal(callerOf(await callFrom(vm3, 9180, 'http://productpage.mesh:9080/')), identity('ratings')),
    );
    assert.match(await vm3.run('trysail status || true'), /vm3 is not well/);
    t.diagnostic(`vm3 reached and reaching ${seconds(since)} after its boot, from what it has on disk`);
    await fleet.server.boot();
    await Promise.all([vm1, vm2, vm3].map(async (machine) => untilConsulLeads(machine)));
    const sinceLeader = Date.now();
    // Servers that come back take vm3 for a node that has left; its agent tells them better.
    await eventually(
      'Consul has vm3 again, in good health',
      async () => {
        const text = await vm1.run('curl -sS http://127.0.0.1:8500/v1/health/service/ratings?passing');
        assert.match(text, /"Node":"vm3"/);
        await vm3.run('trysail status');
        await vm1.run('trysail status');
      },
      180_000,
    );
    t.diagnostic(`all was well ${seconds(sinceLeader)} after Consul had its leader again`);
    await untilServing(vm1, ['v1', 'v3']);
  });
});
