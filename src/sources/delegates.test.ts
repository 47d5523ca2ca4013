import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VirtualService } from '../model/virtual-service.ts';
import { mergeDelegates } from './delegates.ts';
import { parseResources } from './resource-reader.ts';

function document(name: string, spec: string, namespace = 'default'): string {
  return `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec:\n${spec}`;
}

function parsed(...documents: readonly string[]): readonly VirtualService[] {
  const { virtualServices, diagnostics } = parseResources([{ file: 'a.yaml', text: documents.join('---\n') }]);
  assert.deepEqual(diagnostics, []);
  return virtualServices;
}

const ROOT = `  hosts: [a.default.mesh]
  http:
  - name: api
    match:
    - {name: in, uri: {prefix: /api}, headers: {x: {exact: y}}}
    - {uri: {exact: /other}, port: 80}
    delegate: {name: api}
    timeout: 5s
    rewrite: {uri: /}
    headers: {request: {set: {a: b}}}
  - route: [{destination: {host: a}}]
`;

const route = 'route: [{destination: {host: b}}]';

test('routes of a delegate take the place of its root’s, and what they lack from it', () => {
  const delegate = `  http:
  - name: v1
    match: [{name: one, uri: {prefix: /api/v1}, queryParams: {q: {exact: '1'}}}]
    timeout: 1s
    ${route}
  - ${route}
`;
  const { virtualServices, diagnostics } = mergeDelegates(parsed(document('root', ROOT), document('api', delegate)));
  assert.deepEqual(diagnostics, []);
  const [merged, ...others] = virtualServices;
  const http = merged?.http ?? [];
  assert.deepEqual(others, [], 'a delegate is never used alone');
  assert.deepEqual(
    http.map(({ name }) => name),
    ['api-v1', 'api', undefined],
  );
  const [first, second] = http;
  assert.deepEqual([first?.timeoutMs, second?.timeoutMs], [1000, 5000]);
  assert.deepEqual(first?.rewrite, { uri: '/' });
  assert.deepEqual(first?.headers, second?.headers);
  assert.equal(first?.match.length, 1, 'it narrows the first of the root’s alone');
  assert.equal(first?.match[0]?.name, 'in-one');
  assert.deepEqual(first?.match[0]?.uri, { kind: 'prefix', value: '/api/v1' });
  assert.deepEqual(Object.keys({ ...first?.match[0]?.headers, ...first?.match[0]?.queryParams }), ['x', 'q']);
  assert.deepEqual(
    second?.match.map(({ uri, port }) => [uri?.kind, port]),
    [
      ['prefix', undefined],
      ['exact', 80],
    ],
  );
});

const CONFLICTS: readonly (readonly [string, string, string])[] = [
  ['a prefix outside of the root’s', '{prefix: /api}', 'uri: {prefix: /ap}'],
  ['an exact path outside of the root’s prefix', '{prefix: /api}', 'uri: {exact: /x}'],
  ['a prefix within an exact path', '{exact: /api}', 'uri: {prefix: /api}'],
  ['another exact path', '{exact: /api}', 'uri: {exact: /api/x}'],
  ['a regular expression within a prefix', '{prefix: /api}', 'uri: {regex: /api/x}'],
  ['a prefix within a regular expression', '{regex: /api.*}', 'uri: {prefix: /api/x}'],
  ['case that counts within one that does not', '{prefix: /api}, ignoreUriCase: true', 'uri: {prefix: /api/x}'],
  ['another port', '{prefix: /api}, port: 80', 'port: 81'],
  ['another namespace of callers', '{prefix: /api}, sourceNamespace: a', 'sourceNamespace: b'],
  ['another label of callers', '{prefix: /api}, sourceLabels: {a: b}', 'sourceLabels: {a: c}'],
  ['a gateway beside the root’s', '{prefix: /api}, gateways: [mesh]', 'gateways: [mesh, x]'],
  ['another method', '{prefix: /api}, method: {exact: GET}', 'method: {exact: PUT}'],
  ['another value of a header', '{prefix: /api}, headers: {h: {exact: a}}', 'headers: {h: {exact: b}}'],
];

for (const [what, root, delegate] of CONFLICTS)
  test(`a delegate’s route with ${what} is left out`, () => {
    const { virtualServices, diagnostics } = mergeDelegates(
      parsed(
        document('root', `  hosts: [a]\n  http:\n  - match: [{uri: ${root}}]\n    delegate: {name: api}\n`),
        document('api', `  http:\n  - match: [{${delegate}}]\n    ${route}\n  - ${route}\n`),
      ),
    );
    assert.equal(virtualServices[0]?.http.length, 1);
    assert.deepEqual(
      diagnostics.map(({ code, source, path }) => [code, source?.line, path]),
      [['TRY0007', 7, 'spec.http[0].delegate']],
    );
  });

test('the same regular expression does not conflict', () => {
  const { virtualServices } = mergeDelegates(
    parsed(
      document('root', '  hosts: [a]\n  http:\n  - match: [{uri: {regex: "/a.*"}}]\n    delegate: {name: api}\n'),
      document('api', `  http:\n  - match: [{uri: {regex: "/a.*"}}]\n    ${route}\n`),
    ),
  );
  assert.equal(virtualServices[0]?.http.length, 1);
});

test('a delegate that is missing, has hosts or is not exported costs its route alone', () => {
  const root = (namespace: string): string =>
    document('root', `  hosts: [a]\n  http:\n  - delegate: {name: api, namespace: ${namespace}}\n  - ${route}\n`);
  const cases = [
    parsed(root('shop')),
    parsed(root('shop'), document('api', `  hosts: [x]\n  http:\n  - ${route}\n`, 'shop')),
    parsed(root('shop'), document('api', `  exportTo: ['.']\n  http:\n  - ${route}\n`, 'shop')),
  ];
  for (const all of cases) {
    const { virtualServices, diagnostics } = mergeDelegates(all);
    assert.equal(virtualServices[0]?.http.length, 1);
    assert.deepEqual(
      diagnostics.map(({ code }) => code),
      ['IST0101'],
    );
  }
  const exported = parsed(root('shop'), document('api', `  exportTo: [default]\n  http:\n  - ${route}\n`, 'shop'));
  assert.equal(mergeDelegates(exported).virtualServices[0]?.http.length, 2);
});

test('the same inputs give the same objects; another delegate another root', () => {
  const [root, one] = parsed(document('root', ROOT), document('api', `  http:\n  - ${route}\n`));
  const [other] = parsed(document('api', `  http:\n  - timeout: 1s\n    ${route}\n`));
  const [plain] = parsed(document('plain', `  hosts: [c]\n  http:\n  - ${route}\n`));
  assert.ok(root && one && other && plain);
  const first = mergeDelegates([root, one, plain]).virtualServices;
  assert.equal(mergeDelegates([root, one, plain]).virtualServices[0], first[0]);
  assert.equal(first[1], plain);
  assert.notEqual(mergeDelegates([root, other]).virtualServices[0], first[0]);
});
