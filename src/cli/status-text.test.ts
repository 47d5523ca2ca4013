import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Status } from '../api/status.ts';
import { statusProblems } from '../api/status-problems.ts';
import { COLOUR_STYLE, PLAIN_STYLE, statusText } from './status-text.ts';

const NOW = Date.parse('2026-01-02T00:00:00Z');

const STATUS: Status = {
  agent: { version: '0.1.0', pid: 11, since: '2026-01-01T23:56:40Z', state: 'running', lastGood: false },
  host: { name: 'vm-1', address: '10.0.0.5', locality: 'eu-1/a', trustDomain: 'cluster.local' },
  services: [
    {
      namespace: 'default',
      name: 'reviews',
      version: 'v1',
      identity: 'spiffe://cluster.local/ns/default/sa/reviews',
      port: 9080,
      mode: 'full',
      bypassable: ['0.0.0.0:8080'],
      registered: true,
      application: { state: 'critical', since: '2026-01-01T23:59:00Z', output: 'refused \u001b[2J' },
      proxy: { state: 'passing', since: '2026-01-01T23:57:00Z' },
    },
    { namespace: 'shop', name: 'batch', mode: 'off', application: { state: 'passing' }, proxy: { state: 'passing' } },
  ],
  upstreams: [
    {
      service: 'ratings.default.mesh',
      port: 9080,
      listen: '127.0.0.1:9082',
      endpoints: { healthy: 2, total: 3 },
      tls: 'mixed',
    },
  ],
  consul: {
    connected: true,
    address: 'http://127.0.0.1:8500',
    lastContact: '2026-01-01T23:59:58Z',
    watches: 3,
    errors: [],
  },
  meshConfig: {
    file: '/etc/trysail/meshconfig.yaml',
    resource: { source: 'consul:istio-system/MeshConfig/mesh@3', fields: ['accessLogFile', 'connectTimeout'] },
  },
  envoy: {
    state: 'running',
    ready: true,
    version: '1.40.0',
    pid: 12,
    epoch: 0,
    restarts: 1,
    since: '2026-01-01T23:56:41Z',
  },
  xds: [{ type: 'cluster', sent: 3, acknowledged: 3, inFlight: 0, rejected: [] }],
  certificates: {
    provider: 'trysail-ca',
    workloads: [
      {
        spiffeId: 'spiffe://cluster.local/ns/default/sa/reviews',
        serial: '4f',
        notAfter: '2026-01-02T20:00:00Z',
        nextRenewal: '2026-01-02T08:30:00Z',
      },
    ],
    host: { spiffeId: 'spiffe://cluster.local/host/vm-1', serial: '5a', notAfter: '2026-01-31T00:00:00Z' },
    roots: [{ subject: 'CN=root', sha256: '0123456789abcdef0123456789abcdef', notAfter: '2036-01-01T00:00:00Z' }],
  },
  plainText: [{ direction: 'inbound', what: 'port 9080 of default/reviews', why: 'PERMISSIVE by default' }],
  diagnostics: [],
};

test('statusText() says first whether all is well, then what is not, then everything, with no control characters', () => {
  const text = statusText(STATUS, statusProblems(STATUS, NOW), NOW, PLAIN_STYLE);
  assert.equal(
    text,
    `vm-1 is not well: 1 error, 1 warning.
  error    the application of default/reviews is critical: refused [2J
  warning  BYPASSABLE: others reach the application of default/reviews past the proxy at 0.0.0.0:8080, where no policy of the mesh holds. Let it listen on 127.0.0.1, or capture its port.

Agent   0.1.0, pid 11, running, for 3m 20s
Host    vm-1, 10.0.0.5, eu-1/a, trust domain cluster.local
Mesh    /etc/trysail/meshconfig.yaml, but accessLogFile, connectTimeout of consul:istio-system/MeshConfig/mesh@3
Envoy   1.40.0, pid 12, epoch 0, ready, for 3m 19s, 1 restart
Consul  http://127.0.0.1:8500, connected, last contact 2s ago, 3 watches

SERVICE          VERSION  PORT  MODE             REGISTERED  APPLICATION  PROXY       IDENTITY
default/reviews  v1       9080  full BYPASSABLE  yes         critical 1m  passing 3m  spiffe://cluster.local/ns/default/sa/reviews
shop/batch       -        -     off              -           passing      -           -

UPSTREAM              PORT  LISTEN          HEALTHY  TLS
ratings.default.mesh  9080  127.0.0.1:9082  2/3      mixed

XDS      SENT  ACKNOWLEDGED  IN FLIGHT  REJECTED
cluster  3     3             0          0

CERTIFICATE                                   SERIAL  EXPIRES  RENEWAL
spiffe://cluster.local/ns/default/sa/reviews  4f      in 20h   in 8h 30m
spiffe://cluster.local/host/vm-1              5a      in 29d   -

ROOT     SHA-256           EXPIRES
CN=root  0123456789abcdef  in 3651d

PLAIN TEXT  WHAT                          WHY
inbound     port 9080 of default/reviews  PERMISSIVE by default
`,
  );
});

test('statusText() of a host that is well begins with that', () => {
  const well: Status = { ...STATUS, services: [], diagnostics: [] };
  assert.match(statusText(well, statusProblems(well, NOW), NOW, PLAIN_STYLE), /^vm-1 is well\.\n\nAgent/);
  const doubtful: Status = { ...well, agent: { ...well.agent, state: 'draining' } };
  assert.match(
    statusText(doubtful, statusProblems(doubtful, NOW), NOW, PLAIN_STYLE),
    /^vm-1 is well, with 1 warning\.\n/,
  );
});

test('statusText() names the mesh configuration that holds', () => {
  const line = (meshConfig: Status['meshConfig']): string | undefined => {
    const { meshConfig: _, ...rest } = STATUS;
    const status: Status = meshConfig === undefined ? rest : { ...rest, meshConfig };
    return /^Mesh +(.*)$/m.exec(statusText(status, [], NOW, PLAIN_STYLE))?.[1];
  };
  assert.equal(line(undefined), undefined);
  assert.equal(line({}), 'defaults');
  assert.equal(line({ file: '/etc/m.yaml' }), '/etc/m.yaml');
  assert.equal(line({ resource: { source: 'a.yaml', fields: [] } }), 'defaults, but no field of a.yaml');
});

test('statusText() uses colours only where the style has them', () => {
  const problems = statusProblems(STATUS, NOW);
  assert.ok(!statusText(STATUS, problems, NOW, PLAIN_STYLE).includes('\u001b'));
  assert.ok(statusText(STATUS, problems, NOW, COLOUR_STYLE).startsWith('\u001b[31mvm-1 is not well'));
});
