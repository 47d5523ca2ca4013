import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientTls } from '../../model/destination-rule.ts';
import { clientFiles, namesByRequest, serverNames } from './client-tls.ts';

const SIMPLE: ClientTls = { mode: 'SIMPLE', subjectAltNames: [], insecureSkipVerify: false };
const API = { host: 'api.example.com' };
const WILD = { host: '*.example.com' };

test('a server is known by the rule, else by its ServiceEntry, else by the server name, else by the service', () => {
  const own = { ...API, subjectAltNames: ['entry.example.com'] };
  const named = { ...SIMPLE, sni: 'front.example.com', subjectAltNames: ['rule.example.com'] };
  assert.deepEqual(serverNames(named, own), { sni: 'front.example.com', names: ['rule.example.com'] });
  assert.deepEqual(serverNames(SIMPLE, own), { sni: API.host, names: ['entry.example.com'] });
  assert.deepEqual(serverNames({ ...SIMPLE, sni: 'front.example.com' }, API), {
    sni: 'front.example.com',
    names: ['front.example.com'],
  });
  assert.deepEqual(serverNames(SIMPLE, API), { sni: API.host, names: [API.host] });
});

test('an address is no server name, and is proved as an address', () => {
  assert.deepEqual(serverNames(SIMPLE, { host: '10.0.0.1' }), { sni: undefined, names: ['10.0.0.1'] });
});

test('behind a wildcard each request says the name, unless the rule does', () => {
  assert.deepEqual(serverNames(SIMPLE, WILD), { sni: undefined, names: [] });
  assert.deepEqual(namesByRequest(SIMPLE, WILD), { autoSni: true, autoSanValidation: true });
  const named = { ...SIMPLE, subjectAltNames: ['a.example.com'] };
  assert.deepEqual(namesByRequest(named, WILD), { autoSni: true, autoSanValidation: false });
  assert.deepEqual(namesByRequest(SIMPLE, API), { autoSni: false, autoSanValidation: false });
});

test('insecureSkipVerify asks for nothing to be proved', () => {
  const careless = { ...SIMPLE, insecureSkipVerify: true };
  assert.deepEqual(serverNames(careless, API).names, []);
  assert.deepEqual(namesByRequest(careless, WILD), { autoSni: true, autoSanValidation: false });
  assert.equal(clientFiles(careless, {})?.roots, undefined);
});

test('files: those of the rule, a credential of the host, the roots of the system', () => {
  const host = { credentialsFolder: '/c', systemRootsFile: '/roots' };
  assert.deepEqual(clientFiles(SIMPLE, host), {
    certificate: undefined,
    roots: { roots: '/roots', revoked: undefined },
  });
  const mutual: ClientTls = { ...SIMPLE, mode: 'MUTUAL', clientCertificate: '/a', privateKey: '/b', caCrl: '/crl' };
  assert.deepEqual(clientFiles(mutual, host), {
    certificate: { certificate: '/a', privateKey: '/b' },
    roots: { roots: '/roots', revoked: '/crl' },
  });
  const named: ClientTls = { ...SIMPLE, mode: 'MUTUAL', credentialName: 'api' };
  assert.deepEqual(clientFiles(named, host), {
    certificate: { certificate: '/c/api/tls.crt', privateKey: '/c/api/tls.key' },
    roots: { roots: '/c/api/ca.crt', revoked: undefined },
  });
  assert.equal(clientFiles(named, {}), undefined);
});
