import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

const HEAD = 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n';

function complaints(spec: string): readonly string[] {
  const { diagnostics } = parseResources([{ file: 'a.yaml', text: HEAD + spec }]);
  return diagnostics.map((diagnostic) =>
    formatDiagnostic(diagnostic)
      .replace('VirtualService default/a ', '')
      .replace(' (the resource is not applied)', '')
      .replace(/^a\.yaml:/, ''),
  );
}

const ROUTE = 'route: [{destination: {host: b}}]';

test('everything that is supported, in both spellings', () => {
  const { virtualServices, diagnostics } = parseResources([
    {
      file: 'a.yaml',
      text: `${HEAD}
  hosts: [reviews, '*.example.com']
  gateways: [mesh]
  export_to: ['.', payments]
  http:
  - name: canary
    match:
    - name: jason
      uri: {prefix: /api}
      ignoreUriCase: true
      method: {exact: GET}
      scheme: {exact: http}
      authority: {regex: '.*[.]com'}
      headers: {end-user: {exact: jason}, x-any: {}, x-star: {regex: '*'}}
      without_headers: {x-debug: {prefix: '1'}}
      queryParams: {v: {exact: '2'}}
      port: 9080
      gateways: [mesh]
    route:
    - destination: {host: reviews, subset: v2, port: {number: 9080}}
      weight: 3
    - destination: {host: reviews.other.mesh}
    timeout: 1.5s
    retries:
      attempts: 3
      per_try_timeout: 250ms
      retryOn: connect-failure, 503
      retryRemoteLocalities: true
      retryIgnorePreviousHosts: false
      backoff: 10ms
  - route: [{destination: {host: reviews}, weight: 0}]
    retries: {attempts: 0}
`,
    },
  ]);
  assert.deepEqual(diagnostics, []);
  const [virtualService] = virtualServices;
  assert.deepEqual(virtualService, {
    meta: {
      kind: 'VirtualService',
      namespace: 'default',
      name: 'a',
      labels: {},
      source: { file: 'a.yaml', line: 1 },
      age: 1,
    },
    hosts: ['reviews', '*.example.com'],
    exportTo: ['.', 'payments'],
    http: [
      {
        name: 'canary',
        match: [
          {
            name: 'jason',
            uri: { kind: 'prefix', value: '/api' },
            ignoreUriCase: true,
            method: { kind: 'exact', value: 'GET' },
            scheme: { kind: 'exact', value: 'http' },
            authority: { kind: 'regex', value: '.*[.]com' },
            headers: {
              'end-user': { kind: 'exact', value: 'jason' },
              'x-any': { kind: 'present' },
              'x-star': { kind: 'present' },
            },
            withoutHeaders: { 'x-debug': { kind: 'prefix', value: '1' } },
            queryParams: { v: { kind: 'exact', value: '2' } },
            port: 9080,
          },
        ],
        destinations: [
          { host: 'reviews', subset: 'v2', port: 9080, weight: 3 },
          { host: 'reviews.other.mesh', subset: undefined, port: undefined, weight: 0 },
        ],
        timeoutMs: 1500,
        retries: {
          attempts: 3,
          perTryTimeoutMs: 250,
          retryOn: 'connect-failure,503',
          retryRemoteLocalities: true,
          retryIgnorePreviousHosts: false,
          backoffMs: 10,
        },
      },
      {
        name: undefined,
        match: [],
        destinations: [{ host: 'reviews', subset: undefined, port: undefined, weight: 1 }],
        timeoutMs: undefined,
        retries: {
          attempts: 0,
          perTryTimeoutMs: undefined,
          retryOn: undefined,
          retryRemoteLocalities: false,
          retryIgnorePreviousHosts: true,
          backoffMs: undefined,
        },
      },
    ],
  });
});

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a misspelt key',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    tiemout: 1s\n`,
    ['8: error IST0106 spec.http[0].tiemout: unknown key "tiemout". Did you mean "timeout"?'],
  ],
  [
    'a timeout of 0',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 0s\n`,
    ['8: error IST0106 spec.http[0].timeout: "0s" is less than 1ms. Leave the field out, or write 1ms or more.'],
  ],
  [
    'a timeout without a unit',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 5\n`,
    ['8: error IST0106 spec.http[0].timeout: 5 is not a duration. Write a number and a unit, such as "1.5s".'],
  ],
  [
    'a fraction of a millisecond',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 1.5ms\n`,
    ['8: error IST0106 spec.http[0].timeout: "1.5ms" is not a whole number of milliseconds. Round it.'],
  ],
  [
    'no attempts, yet other settings of retries',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    retries:\n      attempts: 0\n      perTryTimeout: 1s\n`,
    [
      '9: error IST0106 spec.http[0].retries.attempts: there are no attempts, and yet perTryTimeout. Write "attempts" of 1 or more, or "attempts: 0" alone to turn retries off.',
    ],
  ],
  [
    'an unknown condition of retries',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    retries: {attempts: 1, retryOn: "5xx,conect-failure,503"}\n`,
    [
      '8: error IST0106 spec.http[0].retries.retryOn: "conect-failure" is neither a condition nor an HTTP status. Did you mean "connect-failure"?',
    ],
  ],
  [
    'weights that total 0',
    '  hosts: [b]\n  http:\n  - route:\n    - destination: {host: b}\n    - destination: {host: c}\n      weight: 0\n',
    ['7: error IST0106 spec.http[0].route: the weights total 0. Give at least one destination a weight of 1 or more.'],
  ],
  [
    'a negative weight',
    '  hosts: [b]\n  http:\n  - route: [{destination: {host: b}, weight: -1}]\n',
    [
      '7: error IST0106 spec.http[0].route[0].weight: -1 is not a whole number from 0 to 2147483647. Write a whole number from 0 to 2147483647.',
    ],
  ],
  [
    'a regular expression that RE2 does not have',
    `  hosts: [b]\n  http:\n  - match:\n    - uri:\n        regex: "a(?=b)"\n    ${ROUTE}\n`,
    [
      '9: error IST0106 spec.http[0].match[0].uri.regex: "a(?=b)" uses a lookahead, which RE2 does not have. Write a regular expression in RE2 syntax.',
    ],
  ],
  [
    'two ways to compare',
    `  hosts: [b]\n  http:\n  - match: [{uri: {exact: /a, prefix: /b}}]\n    ${ROUTE}\n`,
    [
      '7: error IST0106 spec.http[0].match[0].uri: has more than one of exact, prefix and regex. Keep one, or write several entries of "match".',
    ],
  ],
  [
    'no way to compare',
    `  hosts: [b]\n  http:\n  - match: [{method: {}}]\n    ${ROUTE}\n`,
    ['7: error IST0106 spec.http[0].match[0].method: says nothing to compare with. Add "exact", "prefix" or "regex".'],
  ],
  [
    'a claim of a token',
    `  hosts: [b]\n  http:\n  - match: [{headers: {"@request.auth.claims.x": {exact: a}}}]\n    ${ROUTE}\n`,
    [
      '7: error TRY0003 spec.http[0].match[0].headers["@request.auth.claims.x"]: "@request.auth.claims.x" asks for a claim of a token, which is not supported yet. Remove it.',
    ],
  ],
  [
    'a header that no request can have',
    `  hosts: [b]\n  http:\n  - match: [{headers: {"a b": {exact: x}}, withoutHeaders: {":path": {}}}]\n    ${ROUTE}\n`,
    ['7: error IST0106 spec.http[0].match[0].headers["a b"]: "a b" is not a name. Use letters, digits and "-".'],
  ],
  [
    'a time longer than Envoy can count',
    `  hosts: [b]\n  http:\n  - ${ROUTE}\n    timeout: 9999999999h\n`,
    ['8: error IST0106 spec.http[0].timeout: "9999999999h" is longer than a hundred years. Write a shorter time.'],
  ],
  [
    'weights that total more than Envoy can count',
    '  hosts: [b]\n  http:\n  - route:\n' + '    - {destination: {host: b}, weight: 2147483647}\n'.repeat(3),
    ['7: error IST0106 spec.http[0].route: the weights total more than 4294967295. Write smaller weights.'],
  ],
  [
    'a host that is no name',
    `  hosts: [http://b]\n  http:\n  - ${ROUTE}\n`,
    [
      '5: error IST0106 spec.hosts[0]: "http://b" has a port or a scheme. Write a DNS name such as reviews.default.mesh, or *.example.com.',
    ],
  ],
  [
    'all hosts of the mesh',
    `  hosts: ["*"]\n  http:\n  - ${ROUTE}\n`,
    ['5: error IST0106 spec.hosts[0]: "*" is not allowed within the mesh. Name the services.'],
  ],
  [
    'no hosts',
    `  http:\n  - ${ROUTE}\n`,
    ['4: error TRY0003 spec.hosts: has no hosts, as only a delegate may. Name the services that it is for.'],
  ],
  ['no routes', '  hosts: [b]\n', ['4: error IST0106 spec.http: has no routes. Add "http" with at least one route.']],
  [
    'a route to nowhere',
    '  hosts: [b]\n  http:\n  - timeout: 1s\n',
    ['7: error IST0106 spec.http[0]: has no "route". Add "route" with at least one destination.'],
  ],
  [
    'a gateway',
    `  hosts: [b]\n  gateways: [mesh, ingress]\n  http:\n  - ${ROUTE}\n`,
    [
      '6: error TRY0003 spec.gateways[1]: "gateways" with the value "ingress" is part of Istio\'s API and not supported yet. Leave "gateways" out, or write "mesh" alone.',
    ],
  ],
  [
    'a redirect alone, which is not also a missing route',
    '  hosts: [b]\n  http:\n  - redirect: {uri: /x}\n',
    ['7: error TRY0003 spec.http[0].redirect: "redirect" is part of Istio\'s API and not supported yet. Remove it.'],
  ],
  [
    'a field without effect, which does not keep the rest from being applied',
    `  hosts: [b]\n  http:\n  - match: [{statPrefix: x}]\n    ${ROUTE}\n`,
    [
      '7: warning TRY0005 spec.http[0].match[0].statPrefix: "statPrefix" has no effect here. Remove it; the name of the route is in the metrics.',
    ],
  ],
];

for (const [what, spec, expected] of bad)
  test(`a VirtualService with ${what}`, () => assert.deepEqual(complaints(spec), expected));

const REFUSED_IN_ROUTE = [
  'directResponse: {status: 200}',
  'delegate: {name: x}',
  'rewrite: {uri: /}',
  'fault: {abort: {httpStatus: 500}}',
  'mirror: {host: c}',
  'mirrors: []',
  'mirror_percent: 5',
  'mirrorPercentage: {value: 5}',
  'cors_policy: {}',
  'headers: {request: {set: {a: b}}}',
  'match: [{sourceLabels: {a: b}}]',
  'match: [{sourceNamespace: x}]',
  'match: [{gateways: [x]}]',
];

for (const field of REFUSED_IN_ROUTE)
  test(`a route with ${field} is refused as not supported, on its line`, () => {
    const found = complaints(`  hosts: [b]\n  http:\n  - ${ROUTE}\n    ${field}\n`);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', /^8: error TRY0003 spec\.http\[0\]\./);
  });
