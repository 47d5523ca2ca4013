import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

/** What is said of a resource that is applied all the same. */
function hints(kind: string, spec: string): readonly string[] {
  const text = `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: a}\nspec:\n${spec}`;
  const { virtualServices, destinationRules, diagnostics } = parseResources([{ file: 'a.yaml', text }]);
  assert.equal(virtualServices.length + destinationRules.length, 1, text);
  return diagnostics.map((one) => formatDiagnostic(one).replace(`${kind} default/a spec.`, ''));
}

/** Fields of a route, and what is said of them. */
const OF_ROUTES: readonly (readonly [string, ...RegExp[]])[] = [
  ['match: [{method: {exact: get}}]', /^a\.yaml:7: warning TRY0010 .*method\.exact: "get" is .* Write "GET"\.$/],
  ['match: [{method: {exact: purge}}]'],
  ['match: [{method: {exact: GET}}]'],
  ['match: [{uri: {prefix: api}}]', /TRY0010 .*uri\.prefix: "api" does not begin with "\/".* Write "\/api"\.$/],
  ['match: [{uri: {exact: api}}]', /TRY0010 .*uri\.exact: "api" does not begin/],
  ['match: [{uri: {exact: ""}}]', /TRY0010 .*uri\.exact: "" does not begin/],
  ['match: [{uri: {exact: "*"}, method: {exact: OPTIONS}}]'],
  ['match: [{uri: {exact: "/api?v=1"}}]', /TRY0010 .*uri\.exact: "\/api\?v=1" has "\?"/],
  ['match: [{uri: {prefix: "/api#top"}}]', /TRY0010 .*uri\.prefix: "\/api#top" has "#"/],
  ['match: [{uri: {regex: "api/.*"}}]', /TRY0010 .*uri\.regex: "api\/\.\*" has to fit the whole path/],
  ['match: [{uri: {regex: "a?/b"}},{uri: {regex: "a|/b"}},{uri: {regex: "a*/b"}},{uri: {regex: ".*"}}]'],
  ['match: [{scheme: {exact: HTTPS}}]', /TRY0010 .*scheme\.exact: "HTTPS" has capitals/],
  ['rewrite: {uri: api}', /TRY0010 .*rewrite\.uri: "api" does not begin/],
  [
    'timeout: 1s\n    retries: {attempts: 1, perTryTimeout: 2s}',
    /^a\.yaml:8: warning TRY0005 .*2s is longer than "timeout", 1s/,
  ],
  ['timeout: 1s\n    retries: {attempts: 1, perTryTimeout: 1s}'],
  ['retries: {attempts: 1, perTryTimeout: 1h}'],
  ['mirrorPercentage: {value: 5}', /TRY0005 .*mirrorPercentage: has no effect without "mirror"/],
  ['mirror: {host: Copies}', /TRY0010 .*mirror\.host: "Copies" has capitals/],
];

for (const [fields, ...expected] of OF_ROUTES)
  test(`a route with ${fields.replace(/\s+/g, ' ')}`, () => {
    const said = hints(
      'VirtualService',
      `  hosts: [b]\n  http:\n  - ${fields}\n    route: [{destination: {host: b}}]\n`,
    );
    assert.equal(said.length, expected.length, said.join('\n'));
    for (const [i, form] of expected.entries()) assert.match(said[i] ?? '', form);
  });

test('answers of a route itself, beside what would be done with a service', () => {
  const fields = 'timeout: 1s, retries: {attempts: 1}, mirror: {host: c}';
  assert.deepEqual(
    hints('VirtualService', `  hosts: [b]\n  http: [{redirect: {uri: /c}, ${fields}}]\n`).map((said) =>
      said.slice(0, said.indexOf(',')),
    ),
    ['mirror', 'retries', 'timeout'].map(
      (field) => `a.yaml:6: warning TRY0005 http[0].${field}: has no effect beside "redirect"`,
    ),
  );
  assert.match(
    hints('VirtualService', '  hosts: [b]\n  http: [{redirect: {uri: c}}]\n').join('\n'),
    /^a\.yaml:6: warning TRY0010 http\[0\]\.redirect\.uri: "c" does not begin with "\/"/,
  );
});

test('hosts in capitals', () => {
  assert.deepEqual(
    hints(
      'VirtualService',
      '  hosts: [Reviews, "*.Example.com"]\n  http:\n  - route: [{destination: {host: REVIEWS}}]\n',
    ).map((said) => said.replace(/ has capitals.*/, '')),
    [
      'a.yaml:5: warning TRY0010 hosts[0]: "Reviews"',
      'a.yaml:5: warning TRY0010 hosts[1]: "*.Example.com"',
      'a.yaml:7: warning TRY0010 http[0].route[0].destination.host: "REVIEWS"',
    ],
  );
  assert.deepEqual(hints('DestinationRule', '  host: Reviews\n'), [
    'a.yaml:5: warning TRY0010 host: "Reviews" has capitals, and hosts are compared as they are written. Write "reviews", if the service is called so.',
  ]);
});

test('parts of a traffic policy that do nothing, or more than they say', () => {
  assert.match(
    hints('DestinationRule', '  host: b\n  trafficPolicy:\n    portLevelSettings: [{port: {number: 80}}]\n').join('\n'),
    /^a\.yaml:7: warning TRY0010 trafficPolicy\.portLevelSettings\[0\]: says nothing, and so turns off/,
  );
  const outliers = (more: string): readonly string[] =>
    hints(
      'DestinationRule',
      `  host: b\n  trafficPolicy:\n    outlierDetection: {consecutiveLocalOriginFailures: 2${more}}\n`,
    );
  assert.match(outliers('').join('\n'), /^a\.yaml:7: warning TRY0005 .*consecutiveLocalOriginFailures: has no effect/);
  assert.deepEqual(outliers(', splitExternalLocalOriginErrors: true'), []);
});
