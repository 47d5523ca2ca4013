import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Status } from './status.ts';
import { statusProblems } from './status-problems.ts';

const NOW = Date.parse('2026-01-02T00:00:00Z');
const ID = 'spiffe://cluster.local/ns/default/sa/reviews';

const WELL: Status = {
  agent: { version: '0.1.0', pid: 1, since: '2026-01-01T00:00:00Z', state: 'running', lastGood: false },
  host: { name: 'vm-1', address: '10.0.0.5', trustDomain: 'cluster.local' },
  services: [
    {
      namespace: 'default',
      name: 'reviews',
      port: 9080,
      mode: 'full',
      registered: true,
      application: { state: 'passing' },
      proxy: { state: 'passing' },
    },
  ],
  upstreams: [
    { service: 'ratings.default.mesh', listen: '127.0.0.1:9082', endpoints: { healthy: 1, total: 2 }, tls: 'mtls' },
  ],
  consul: { connected: true, address: 'http://127.0.0.1:8500', watches: 2, errors: [] },
  envoy: { state: 'running', ready: true, restarts: 0 },
  xds: [{ type: 'cluster', sent: 1, acknowledged: 1, inFlight: 0, rejected: [] }],
  certificates: { provider: 'trysail-ca', workloads: [{ spiffeId: ID, notAfter: '2026-01-02T12:00:00Z' }], roots: [] },
  plainText: [{ direction: 'inbound', what: 'port 9080 of default/reviews', why: 'PERMISSIVE by default' }],
  diagnostics: [{ code: 'IST0002', severity: 'info', message: 'old' }],
};

const [SERVICE, UPSTREAM, CERTIFICATE] = [WELL.services[0]!, WELL.upstreams[0]!, WELL.certificates.workloads[0]!];
const certificates = (workload: Partial<typeof CERTIFICATE>): Partial<Status> => ({
  certificates: { ...WELL.certificates, workloads: [{ ...CERTIFICATE, ...workload }] },
});

/** What is different from a host that is well → what is said. */
const CASES: readonly (readonly [Partial<Status>, ...string[]])[] = [
  [{}],
  [{ agent: { ...WELL.agent, state: 'starting' } }, 'warning the agent is starting'],
  [
    { agent: { ...WELL.agent, lastGood: true } },
    'warning the configuration is the last good one from disk: no source has answered yet',
  ],
  [
    { envoy: { state: 'crashed', ready: false, restarts: 3, error: 'exit code 1' } },
    'error Envoy is crashed: exit code 1',
  ],
  [{ envoy: { state: 'running', ready: false, restarts: 0 } }, 'error Envoy is not ready'],
  [
    { consul: { ...WELL.consul!, connected: false, errors: ['ECONNREFUSED'] } },
    'error Consul at http://127.0.0.1:8500 is not reachable: ECONNREFUSED',
  ],
  [{ consul: { ...WELL.consul!, errors: ['ACL denied'] } }, 'warning Consul: ACL denied'],
  [
    { services: [{ ...SERVICE, registered: false, registrationError: 'ACL denied' }] },
    'error service default/reviews is not registered in Consul: ACL denied',
  ],
  [
    {
      services: [
        { ...SERVICE, application: { state: 'critical', output: 'refused\nmore' }, proxy: { state: 'warning' } },
      ],
    },
    'error the application of default/reviews is critical: refused',
    'warning the proxy of default/reviews is passing with a warning',
  ],
  [
    {
      services: [
        { namespace: 'a', name: 'b', mode: 'full', application: { state: 'unknown' }, proxy: { state: 'passing' } },
      ],
    },
  ],
  [
    { services: [{ ...SERVICE, application: { state: 'unknown' } }] },
    'warning the application of default/reviews is unknown',
  ],
  // Nobody checks a proxy that is not in the way.
  [{ services: [{ ...SERVICE, mode: 'off', proxy: { state: 'unknown', output: 'no check is configured' } }] }],
  [
    { services: [{ ...SERVICE, bypassable: ['0.0.0.0:8080', '[::]:8080'] }] },
    'warning BYPASSABLE: others reach the application of default/reviews past the proxy at 0.0.0.0:8080, [::]:8080, where no policy of the mesh holds. Let it listen on 127.0.0.1, or capture its port.',
  ],
  [
    { services: [{ ...SERVICE, mode: 'observe', bypassable: ['10.0.0.5:8080'] }] },
    'warning BYPASSABLE: others reach the application of default/reviews past the proxy at 10.0.0.5:8080. Let it listen on 127.0.0.1, or capture its port.',
  ],
  [
    { upstreams: [{ ...UPSTREAM, endpoints: { healthy: 0, total: 2 } }] },
    'error upstream ratings.default.mesh has no healthy endpoint of 2',
  ],
  [
    { upstreams: [{ ...UPSTREAM, endpoints: { healthy: 0, total: 0 } }] },
    'error upstream ratings.default.mesh has no endpoint',
  ],
  [{ xds: [{ ...WELL.xds[0]!, rejected: [{ name: 'a', why: 'bad' }] }] }, 'error Envoy refused cluster a: bad'],
  [
    { certificates: { provider: 'trysail-ca', workloads: [{ spiffeId: ID, error: 'no CA' }], roots: [] } },
    `error no certificate for ${ID}: no CA`,
  ],
  [
    certificates({ notAfter: '2026-01-02T00:00:00Z' }),
    `error the certificate of ${ID} expired at 2026-01-02T00:00:00Z`,
  ],
  [certificates({ error: 'no CA' }), `warning the certificate of ${ID} could not be renewed: no CA`],
  [
    {
      diagnostics: [
        { code: 'TRY0003', severity: 'warning', message: 'w' },
        { code: 'IST0106', severity: 'error', message: 'e' },
      ],
    },
    'error IST0106: e.',
    'warning TRY0003: w.',
  ],
];

for (const [change, ...expected] of CASES)
  test(`statusProblems() says ${expected.join(' and ') || 'nothing of a host that is well'}`, () => {
    const problems = statusProblems({ ...WELL, ...change }, NOW);
    assert.deepEqual(
      problems.map(({ severity, text }) => `${severity} ${text}`),
      expected,
    );
  });
