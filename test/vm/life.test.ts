/**
 * The life of hosts on real systemd: joined by token, applications as ordinary units that call each other by name in
 * plain HTTP; what is on the wire, a canary, reboots, a power cut, a shutdown.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canBootMachines } from './capability.ts';
import { type FleetHost, startFleet, untilWell } from './fleet.ts';

const reason = await canBootMachines();

const CHECK = { http: '/health', interval: '2s' };

const HOSTS: readonly FleetHost[] = [
  {
    name: 'vm1',
    number: 3,
    applications: [{ unit: 'productpage', listen: '127.0.0.1:9080', peers: ['http://reviews.mesh:9080/chain'] }],
    agent: {
      services: [{ name: 'productpage', port: 9080, protocol: 'HTTP', check: CHECK }],
      upstreams: [{ service: 'reviews' }, { service: 'ratings' }],
      envoy: { concurrency: 1, drainTime: '10s' },
    },
  },
  {
    name: 'vm2',
    number: 4,
    // On all addresses, as applications are before anybody speaks of a mesh.
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
      envoy: { concurrency: 1, drainTime: '10s' },
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
      envoy: { concurrency: 1, drainTime: '10s' },
    },
  },
];

const RESOURCES = ['productpage', 'reviews', 'ratings']
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

test('the life of hosts', { skip: reason ?? false, timeout: 280_000 }, async (t) => {
  const began = Date.now();
  const fleet = await startFleet(t, { hosts: HOSTS, resources: { 'services.yaml': RESOURCES } });
  t.diagnostic(`four machines booted, installed and joined in ${Math.round((Date.now() - began) / 1000)} s`);
  const [vm1, vm2, vm3] = [fleet.host('vm1'), fleet.host('vm2'), fleet.host('vm3')];

  await t.test('join says who the host is, may be run again, and leaves a host that is well', async () => {
    for (const [machine, accounts] of [
      [vm1, ['productpage']],
      [vm2, ['reviews']],
      [vm3, ['reviews', 'ratings']],
    ] as const) {
      const said = fleet.joined(machine.name);
      console.log(said);
      assert.match(said, new RegExp(`${machine.name} \\(${machine.address}\\) is in the mesh prod\\.example`));
      for (const account of accounts)
        assert.match(said, new RegExp(`spiffe://prod\\.example/ns/default/sa/${account}`));
      assert.equal((await machine.try('trysail join --check')).code, 0);
      await untilWell(machine);
      const checked = await machine.try('trysail check');
      console.log(checked.stdout, checked.stderr);
      assert.equal(checked.code, 0, `${checked.stdout}${checked.stderr}`);
    }
  });
  console.log(await vm1.run('curl -sS http://127.0.0.1:9080/chain'));
  console.log((await vm1.try('trysail status')).stdout);
  console.log((await vm2.try('trysail status')).stdout);
  console.log((await vm3.try('trysail status')).stdout);
});
