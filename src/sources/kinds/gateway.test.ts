import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(servers: string, selector = '{istio: ingressgateway}') {
  const text = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  selector: ${selector}
  servers:
${servers}
`;
  const { gateways, diagnostics } = parseResources([{ file: 'gw.yaml', text }]);
  return { gateway: gateways[0], problems: diagnostics.map((one) => formatDiagnostic(one)) };
}

function server(port: string, rest = ''): string {
  return `  - {port: {number: 443, name: p, protocol: ${port}}, hosts: [a.example.com]${rest}}`;
}

test('a server: hosts of namespaces, protocol, credentials, versions', () => {
  const { gateway, problems } = read(
    `  - port: {number: 443, name: https, protocol: https}
    bind: 10.0.0.5
    hosts: [./A.example.com, "*/b.example.com", team/*.c.example.com, d.example.com, "*"]
    tls: {mode: MUTUAL, credentialName: www, caCertCredentialName: clients, minProtocolVersion: TLSV1_1, cipherSuites: [AES128-SHA, AES128-SHA, RC4]}`,
  );
  assert.deepEqual(
    problems.map((text) => text.replace(/\. Use each.*/, '')),
    [
      'gw.yaml:10: warning IST0133 Gateway shop/gw spec.servers[0].tls.cipherSuites[1]: "AES128-SHA" stands here twice; it is left out',
      'gw.yaml:10: warning IST0133 Gateway shop/gw spec.servers[0].tls.cipherSuites[2]: "RC4" is not known; it is left out',
      'gw.yaml:10: warning IST0133 Gateway shop/gw spec.servers[0].tls.minProtocolVersion: TLSV1_1 is not secure; TLSV1_2 holds. Write TLSV1_2.',
    ],
  );
  const [one] = gateway?.servers ?? [];
  assert.deepEqual(one?.hosts, [
    { namespace: 'shop', host: 'a.example.com' },
    { namespace: '*', host: 'b.example.com' },
    { namespace: 'team', host: '*.c.example.com' },
    { namespace: '*', host: 'd.example.com' },
    { namespace: '*', host: '*' },
  ]);
  assert.deepEqual(one?.port, { number: 443, name: 'https', protocol: 'HTTPS' });
  assert.equal(one?.bind, '10.0.0.5');
  assert.deepEqual(one?.tls?.credentialNames, ['www']);
  assert.equal(one?.tls?.minProtocolVersion, 'TLSV1_2');
  assert.deepEqual(one?.tls?.cipherSuites, ['AES128-SHA']);
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['TLS is needed', server('HTTPS'), /needs tls/],
  ['TLS is refused', server('TCP', ', tls: {mode: SIMPLE, credentialName: a}'), /protocol TCP has no TLS/],
  ['plain HTTP only redirects', server('HTTP', ', tls: {mode: SIMPLE, credentialName: a}'), /protocol HTTP has no TLS/],
  ['a certificate is needed', server('HTTPS', ', tls: {mode: SIMPLE}'), /needs a certificate/],
  [
    'one source of certificates',
    server('HTTPS', ', tls: {mode: SIMPLE, credentialName: a, serverCertificate: /a, privateKey: /b}'),
    /several sources of certificates/,
  ],
  ['half a pair', server('HTTPS', ', tls: {mode: SIMPLE, privateKey: /b}'), /one of serverCertificate and privateKey/],
  ['a relative path', server('HTTPS', ', tls: {mode: SIMPLE, serverCertificate: a, privateKey: /b}'), /absolute path/],
  ['a path for a name', server('HTTPS', ', tls: {mode: SIMPLE, credentialName: ../x}'), /not the name of a credential/],
  ['an empty list', server('HTTPS', ', tls: {mode: SIMPLE, credentialNames: []}'), /is empty/],
  ['three credentials', server('HTTPS', ', tls: {mode: SIMPLE, credentialNames: [a, b, c]}'), /has 3 certificates/],
  [
    'nobody to sign clients',
    server('HTTPS', ', tls: {mode: MUTUAL, serverCertificate: /a, privateKey: /b}'),
    /who signs clients/,
  ],
  ['mesh certificates', server('HTTPS', ', tls: {mode: ISTIO_MUTUAL, credentialName: a}'), /uses no credentialName/],
  [
    'versions that leave nothing',
    server(
      'HTTPS',
      ', tls: {mode: SIMPLE, credentialName: a, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}',
    ),
    /nobody could connect/,
  ],
  [
    'a digest of another form',
    server('HTTPS', ', tls: {mode: MUTUAL, credentialName: a, verifyCertificateHash: [abc]}'),
    /not a SHA-256 digest/,
  ],
  ['an unknown protocol', server('QUIC'), /not a protocol of a gateway/],
  ['a name to bind to', server('HTTP', ', bind: eth0'), /not an IP address/],
  ['no hosts', '  - {port: {number: 80, name: p, protocol: HTTP}, hosts: []}', /is empty/],
  ['a host with a port', '  - {port: {number: 80, name: p, protocol: HTTP}, hosts: ["host:80"]}', /port or a scheme/],
  ['a namespace with a dot', '  - {port: {number: 80, name: p, protocol: HTTP}, hosts: ["a.b/c"]}', /namespace/],
  ['a name twice', `${server('HTTP')}\n${server('HTTP')}`, /stands here twice/],
];

for (const [name, servers, expected] of REFUSED)
  test(`refused: ${name}`, () => {
    const { gateway, problems } = read(servers);
    assert.equal(gateway, undefined);
    assert.match(problems.join('\n'), expected);
  });

test('what has no effect is said, and the rest is applied', () => {
  const { gateway, problems } = read(
    server(
      'HTTPS',
      ', defaultEndpoint: "127.0.0.1:80", tls: {mode: PASSTHROUGH, credentialName: a, httpsRedirect: true}',
    ),
  );
  assert.equal(gateway?.servers[0]?.tls?.mode, 'PASSTHROUGH');
  assert.equal(gateway?.servers[0]?.tls?.httpsRedirect, false);
  assert.deepEqual(gateway?.servers[0]?.tls?.credentialNames, []);
  assert.match(problems.join('\n'), /IST0133 .*httpsRedirect/);
  assert.match(problems.join('\n'), /IST0133 .*mode PASSTHROUGH uses no credentialName/);
  assert.match(problems.join('\n'), /TRY0005 .*defaultEndpoint/);
});
