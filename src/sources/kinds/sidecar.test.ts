import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(spec: object): ReturnType<typeof parseResources> {
  const document = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'a', namespace: 'shop' },
    spec,
  };
  return parseResources([{ file: 'a.yaml', text: JSON.stringify(document) }]);
}

test('a Sidecar with everything that it can say', () => {
  const { sidecars, diagnostics } = read({
    workloadSelector: { labels: { app: 'web' } },
    ingress: [
      { port: { number: 8080, protocol: 'HTTP', name: 'web' }, bind: '10.0.0.1', defaultEndpoint: '127.0.0.1:9000' },
      { port: { number: 8081, protocol: 'GRPC' }, defaultEndpoint: 'unix:///run/web.sock' },
    ],
    egress: [
      { port: { number: 443, protocol: 'TLS' }, hosts: ['*/*.example.com'] },
      { hosts: ['./*', 'payments/ledger', '~payments/vault', '~/*'] },
    ],
    outboundTrafficPolicy: { mode: 'ALLOW_ANY', egressProxy: { host: 'way-out', port: { number: 8443 } } },
  });
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  const [sidecar] = sidecars;
  assert.deepEqual(sidecar?.workloadSelector, { app: 'web' });
  assert.deepEqual(
    sidecar.ingress.map(({ port, bind, defaultEndpoint }) => [port.number, port.protocol, bind, defaultEndpoint]),
    [
      [8080, 'HTTP', '10.0.0.1', '127.0.0.1:9000'],
      [8081, 'GRPC', undefined, 'unix:///run/web.sock'],
    ],
  );
  assert.deepEqual(sidecar.egress?.[1]?.hosts, [
    { namespace: '.', host: '*', excluded: false },
    { namespace: 'payments', host: 'ledger', excluded: false },
    { namespace: 'payments', host: 'vault', excluded: true },
    { namespace: '~', host: '*', excluded: false },
  ]);
  assert.deepEqual(sidecar.outboundTrafficPolicy, {
    mode: 'ALLOW_ANY',
    egressProxy: { host: 'way-out', subset: undefined, port: 8443 },
  });
});

test('a policy without a mode is REGISTRY_ONLY, and no egress at all is everything', () => {
  const [sidecar] = read({ outboundTrafficPolicy: {} }).sidecars;
  assert.deepEqual([sidecar?.outboundTrafficPolicy, sidecar?.egress], [{ mode: 'REGISTRY_ONLY' }, undefined]);
});

const HOSTS = { egress: [{ hosts: ['./*'] }] };
const refused: readonly (readonly [string, object, RegExp])[] = [
  ['that says nothing', {}, /says nothing/],
  ['with an ingress without a port', { ingress: [{ defaultEndpoint: '127.0.0.1:1' }] }, /needs a port/],
  ['with a port twice', { ingress: [{ port: { number: 1 } }, { port: { number: 1 } }] }, /has a listener already/],
  [
    'with an endpoint elsewhere',
    { ingress: [{ port: { number: 1 }, defaultEndpoint: '10.0.0.9:80' }] },
    /127\.0\.0\.1/,
  ],
  ['with a name to bind to', { ingress: [{ port: { number: 1 }, bind: 'localhost' }] }, /not an IP address/],
  ['with egress without hosts', { egress: [{}] }, /needs hosts/],
  ['with a host without a namespace', { egress: [{ hosts: ['reviews'] }] }, /not of the form/],
  ['with a host that has a star inside', { egress: [{ hosts: ['./a.*.b'] }] }, /for a host/],
  ['with a portless listener before others', { egress: [{ hosts: ['./*'] }, { hosts: ['./*'] }] }, /must be the last/],
  [
    'with a proxy and REGISTRY_ONLY',
    { ...HOSTS, outboundTrafficPolicy: { mode: 'REGISTRY_ONLY', egressProxy: { host: 'a' } } },
    /ALLOW_ANY/,
  ],
  ['with the dynamic mode', { outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS' } }, /for the whole mesh/],
];

for (const [what, spec, expected] of refused)
  test(`a Sidecar ${what} is refused`, () => {
    const { sidecars, diagnostics } = read(spec);
    assert.equal(sidecars.length, 0);
    assert.match(diagnostics.map(formatDiagnostic).join('\n'), expected);
  });

test('where an egress listener would listen has no effect, what it imports has', () => {
  const { sidecars, diagnostics } = read({
    egress: [{ bind: '127.0.0.1', captureMode: 'NONE', port: { number: 1 }, hosts: ['./reviews'] }],
  });
  assert.deepEqual(
    sidecars[0]?.egress?.map(({ port, hosts }) => [port?.number, hosts.map(({ host }) => host)]),
    [[1, ['reviews']]],
  );
  assert.deepEqual(
    diagnostics.map(({ code, path }) => [code, path]),
    [
      ['TRY0005', 'spec.egress[0].bind'],
      ['TRY0005', 'spec.egress[0].captureMode'],
    ],
  );
});

test('a host that another covers is a warning', () => {
  const { sidecars, diagnostics } = read({ egress: [{ hosts: ['./*', './reviews'] }] });
  assert.equal(sidecars.length, 1);
  assert.deepEqual(
    diagnostics.map(({ severity, path }) => [severity, path]),
    [['warning', 'spec.egress[0].hosts[1]']],
  );
});
