import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(ingress: string): ReturnType<typeof parseResources> {
  const head = 'apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: web}\nspec:\n  ingress:\n  - ';
  return parseResources([{ file: 'a.yaml', text: `${head}${ingress}\n` }]);
}

test('TLS of an ingress listener, from files or a credential', () => {
  const { sidecars, diagnostics } = read(
    '{port: {number: 443, protocol: HTTPS, name: a}, tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /r}}\n' +
      '  - {port: {number: 444, protocol: TLS, name: b}, tls: {mode: SIMPLE, credentialName: web}}',
  );
  assert.deepEqual(diagnostics.map(formatDiagnostic), []);
  const [files, named] = sidecars[0]?.ingress ?? [];
  assert.deepEqual(files?.tls?.certificates, [{ serverCertificate: '/c', privateKey: '/k' }]);
  assert.equal(files?.tls?.caCertificates, '/r');
  assert.deepEqual(named?.tls?.credentialNames, ['web']);
});

const HTTPS = 'port: {number: 443, protocol: HTTPS, name: a}';
const faulty: readonly (readonly [string, string, RegExp])[] = [
  ['no mode', `{${HTTPS}, tls: {credentialName: web}}`, /has no mode.*SIMPLE/s],
  ['another mode', `{${HTTPS}, tls: {mode: ISTIO_MUTUAL}}`, /TRY0003.*SIMPLE or MUTUAL/s],
  ['a redirect', `{${HTTPS}, tls: {mode: SIMPLE, credentialName: web, httpsRedirect: true}}`, /Redirect at a gateway/],
  ['no certificate', `{${HTTPS}, tls: {mode: SIMPLE}}`, /tls/],
  ['no TLS', '{port: {number: 80, protocol: HTTP, name: a}, tls: {mode: SIMPLE, credentialName: w}}', /has no TLS/],
];

for (const [name, ingress, expected] of faulty)
  test(`refused: TLS of an ingress listener with ${name}`, () => {
    const { sidecars, diagnostics } = read(ingress);
    assert.equal(sidecars.length, 0);
    assert.match(diagnostics.map(formatDiagnostic).join('\n'), expected);
  });

test('the host decides what is captured', () => {
  const { sidecars, diagnostics } = read('{port: {number: 80, protocol: HTTP, name: a}, captureMode: NONE}');
  assert.equal(sidecars.length, 1);
  assert.match(diagnostics.map(formatDiagnostic).join('\n'), /TRY0005.*services\[\]\.capture/s);
});
