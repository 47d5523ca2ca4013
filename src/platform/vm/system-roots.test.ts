import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRootsFile } from './system-roots.ts';

test('the first place that has the roots, else that of Debian', () => {
  const redHat = '/etc/pki/tls/certs/ca-bundle.crt';
  assert.equal(
    systemRootsFile((path) => path === redHat),
    redHat,
  );
  assert.equal(
    systemRootsFile(() => false),
    '/etc/ssl/certs/ca-certificates.crt',
  );
});
