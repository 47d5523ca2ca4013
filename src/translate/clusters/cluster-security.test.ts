import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientTls, ClientTlsMode } from '../../model/destination-rule.ts';
import { DEFAULT_MESH_CONFIG } from '../../model/mesh-config.ts';
import type { Service, ServiceTls } from '../../model/service.ts';
import { type SpiffeId, workloadSpiffeId } from '../../model/spiffe-id.ts';
import { expectedNames, securityOf } from './cluster-security.ts';

function id(serviceAccount: string, trustDomain = 'cluster.local'): SpiffeId {
  const made = workloadSpiffeId({ trustDomain, namespace: 'default', serviceAccount });
  assert.ok(made);
  return made;
}

function service(tls: ServiceTls, identities: readonly SpiffeId[] = [id('reviews')]): Service {
  return {
    host: 'reviews.default.mesh',
    namespace: 'default',
    name: 'reviews',
    consulName: undefined,
    aliases: [],
    ports: [],
    tls,
    identities,
    resolution: 'EDS',
    external: false,
  };
}

const rule = (mode: ClientTlsMode, subjectAltNames: readonly string[] = []): ClientTls => ({
  mode,
  subjectAltNames,
  insecureSkipVerify: false,
});
const SOMEBODY = { identities: [id('web')] };
const NOBODY = { identities: [] };

test('a rule goes before what the service is said to be; without one that holds', () => {
  const of = (tls: ClientTls | undefined, one: Service, callers = SOMEBODY): string =>
    securityOf(tls, one, callers, DEFAULT_MESH_CONFIG);
  assert.equal(of(undefined, service('required')), 'mutual');
  assert.equal(of(undefined, service('migrating')), 'matched');
  assert.equal(of(undefined, service('plain', [])), 'plain');
  assert.equal(of(undefined, service('required'), NOBODY), 'refused');
  assert.equal(of(rule('DISABLE'), service('required')), 'plain');
  assert.equal(of(rule('SIMPLE'), service('required')), 'own');
  assert.equal(of(rule('MUTUAL'), service('plain', []), NOBODY), 'own');
  assert.equal(of(rule('ISTIO_MUTUAL'), service('plain', [])), 'mutual');
  assert.equal(of(rule('ISTIO_MUTUAL'), service('plain', []), NOBODY), 'refused');
});

test('who may answer: whom the rule names, whom the ServiceEntry names, the identities in all trust domains', () => {
  const config = { ...DEFAULT_MESH_CONFIG, trustDomainAliases: ['old.example'] };
  const own = service('required');
  assert.deepEqual(expectedNames(undefined, own, config), [id('reviews'), id('reviews', 'old.example')]);
  assert.deepEqual(expectedNames(undefined, { ...own, subjectAltNames: ['a.example'] }, config), ['a.example']);
  assert.deepEqual(
    expectedNames(rule('ISTIO_MUTUAL', ['b.example']), { ...own, subjectAltNames: ['a.example'] }, config),
    ['b.example'],
  );
  const foreign = service('required', [id('reviews', 'elsewhere.example')]);
  assert.deepEqual(expectedNames(undefined, foreign, config), [id('reviews', 'elsewhere.example')]);
});

test('a service of which nothing is said is expected to be run by the account of its name, if a rule demands mutual TLS', () => {
  assert.deepEqual(expectedNames(rule('ISTIO_MUTUAL'), service('plain', []), DEFAULT_MESH_CONFIG), [id('reviews')]);
  assert.deepEqual(expectedNames(undefined, service('plain', []), DEFAULT_MESH_CONFIG), []);
});
