import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(spec: string): ReturnType<typeof parseResources> {
  const head = 'apiVersion: trysail.dev/v1\nkind: RateLimit\nmetadata: {name: api, namespace: shop}\nspec:\n';
  return parseResources([{ file: 'a.yaml', text: head + spec }]);
}

test('a limit as a user writes it, with what it leaves unsaid', () => {
  const { rateLimits, diagnostics } = read(`  host: web
  ports: [80]
  limits:
  - name: tenants
    match: [{path: {prefix: /api}, method: {exact: POST}, headers: {X-Plan: {}}, callers: [ns/shop/sa/web]}]
    by: [caller, {header: X-Tenant}]
    requests: 100
    per: 1m
    burst: 10
    scope: fleet
    dryRun: true
  - {name: all, requests: 1, per: 500ms}
`);
  assert.deepEqual(diagnostics, []);
  const { meta, ...rest } = rateLimits[0] ?? { meta: undefined };
  assert.equal(meta?.namespace, 'shop');
  assert.deepEqual(rest, {
    host: 'web',
    ports: [80],
    limits: [
      {
        name: 'tenants',
        match: [
          {
            path: { kind: 'prefix', value: '/api' },
            method: { kind: 'exact', value: 'POST' },
            headers: { 'x-plan': { kind: 'present' } },
            callers: ['ns/shop/sa/web'],
          },
        ],
        by: [{ kind: 'caller' }, { kind: 'header', name: 'x-tenant' }],
        requests: 100,
        perMs: 60_000,
        burst: 10,
        scope: 'fleet',
        dryRun: true,
      },
      { name: 'all', match: [], by: [], requests: 1, perMs: 500, burst: undefined, scope: 'instance', dryRun: false },
    ],
    server: undefined,
  });
});

test('a server is asked in the domain of the namespace, and requests pass while it is away', () => {
  const { rateLimits, diagnostics } = read(
    '  host: web\n  server: {host: limits}\n  limits: [{name: all, requests: 5, per: 1h}]\n',
  );
  assert.deepEqual(diagnostics, []);
  assert.deepEqual(rateLimits[0]?.server, {
    host: 'limits',
    port: undefined,
    domain: 'shop',
    timeoutMs: 100,
    failClosed: false,
  });
});

test('a Gateway of the own namespace or of another, and which of its hosts', () => {
  const limits = 'limits: [{name: all, requests: 5, per: 1s}]';
  const own = read(`  gateway: edge\n  hosts: [Api.example.com, '*.example.org', api.example.com]\n  ${limits}\n`);
  assert.deepEqual(own.diagnostics, []);
  assert.equal(own.rateLimits[0]?.host, undefined);
  assert.deepEqual(own.rateLimits[0]?.gateway, { name: 'shop/edge', hosts: ['api.example.com', '*.example.org'] });
  const other = read(`  gateway: infra/edge\n  ports: [443]\n  ${limits}\n`);
  assert.deepEqual(other.rateLimits[0]?.gateway, { name: 'infra/edge', hosts: [] });
  assert.deepEqual(other.rateLimits[0]?.ports, [443]);
});

const ALL = 'limits: [{name: a, requests: 1, per: 1s}]';
const one = (fields: string): string => `  host: web\n  limits: [{name: a, requests: 5, per: 1m, ${fields}}]\n`;
const faulty: readonly (readonly [string, string, RegExp])[] = [
  ['no limits', '  host: web\n  limits: []\n', /has no limits.*"requests" and "per"/s],
  ['neither host nor gateway', `  ${ALL}\n`, /nothing to limit.*"host", a service, or "gateway"/s],
  ['host and gateway', `  host: web\n  gateway: edge\n  ${ALL}\n`, /stands beside "host"/],
  ['hosts of a service', `  host: web\n  hosts: [a.example.com]\n  ${ALL}\n`, /those of a Gateway/],
  ['a gateway that is no name', `  gateway: a/b/c\n  ${ALL}\n`, /"a\/b\/c" is not the name of a Gateway/],
  ['the mesh as a gateway', `  gateway: mesh\n  ${ALL}\n`, /mesh/],
  ['a wildcard in the middle', `  gateway: edge\n  hosts: ['a.*.com']\n  ${ALL}\n`, /has "\*" elsewhere/],
  ['a wildcard', "  host: '*.shop.mesh'\n  limits: [{name: a, requests: 1, per: 1s}]\n", /is a wildcard/],
  [
    'two of one name',
    '  host: web\n  limits: [{name: a, requests: 1, per: 1s}, {name: a, requests: 1, per: 1s}]\n',
    /twice/,
  ],
  ['a name with a dot', '  host: web\n  limits: [{name: a.b, requests: 1, per: 1s}]\n', /cannot name statistics/],
  ['none at all', '  host: web\n  limits: [{name: a, requests: 0, per: 1s}]\n', /whole number from 1/],
  ['no duration', '  host: web\n  limits: [{name: a, requests: 1, per: 60}]\n', /is not a duration/],
  [
    'a period that is too short',
    one('dryRun: true').replace('1m', '49ms'),
    /"?per"?.* is shorter than 50ms.*such as 1s/s,
  ],
  ['more at once than at all', one('burst: 6'), /6 at once is more than the 5/],
  ['a key that is none', one('by: [ip]'), /"ip" is nothing to count by.*remoteAddress or/s],
  ['one key twice', one('by: [caller, {header: A}, {header: a}]'), /header a stands here twice/],
  ['a caller that is none', one('match: [{callers: [web]}]'), /"web" does not name callers.*ns\/<namespace>/s],
  ['an empty match', one('match: [{}]'), /holds for every request/],
  ['an empty path', one('match: [{path: {}}]'), /says nothing to compare with/],
  ['two comparisons', one('match: [{path: {exact: a, prefix: b}}]'), /more than one of exact/],
  ['no expression', one("match: [{path: {regex: '('}}]"), /RE2/],
  ['no header', one("match: [{headers: {'a b': {}}}]"), /not the name of a header/],
  ['an unknown field', one('limit: 5'), /limit/],
  [
    'a period that servers do not know',
    `${one('dryRun: true').replace('1m', '2m')}  server: {host: l}\n`,
    /no such period/,
  ],
  ['a burst at a server', `${one('burst: 2')}  server: {host: l}\n`, /knows no burst/],
  ['a scope at a server', `${one('scope: fleet')}  server: {host: l}\n`, /counts for all instances/],
];

for (const [name, spec, expected] of faulty)
  test(`refused: ${name}`, () => {
    const { rateLimits, diagnostics } = read(spec);
    assert.equal(rateLimits.length, 0);
    assert.match(diagnostics.map(formatDiagnostic).join('\n'), expected);
    assert.ok(diagnostics.every(({ remedy, source }) => remedy !== undefined && source !== undefined));
  });
