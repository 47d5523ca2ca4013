import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { KINDS } from './kinds.ts';
import { parseResources, type ReadingState, type ResourceFile, readResources } from './resource-reader.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

function virtualService(name: string, destination = 'b', metadata = ''): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}${metadata}}
spec:
  hosts: [${name}]
  http: [{route: [{destination: {host: ${destination}}}]}]
`;
}

/** Reads versions of a set of files one after the other. */
function readAll(...versions: readonly Readonly<Record<string, string>>[]): ReadingState {
  let state: ReadingState | undefined;
  for (const version of versions)
    state = readResources(
      state,
      Object.entries(version).map(([file, text]): ResourceFile => ({ file, text })),
    );
  assert.ok(state !== undefined);
  return state;
}

const messages = (state: ReadingState): readonly string[] => state.set.diagnostics.map(formatDiagnostic);
const names = (state: ReadingState): readonly string[] => state.set.virtualServices.map(({ meta }) => meta.name);
const destinations = (state: ReadingState): readonly (string | undefined)[] =>
  state.set.virtualServices.map(({ http }) => http[0]?.destinations[0]?.host);

test('several documents, lists and JSON', () => {
  const list = {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'c', uid: 'x', annotations: {} },
        spec: { hosts: ['c'], http: [{ route: [{ destination: { host: 'd' } }] }] },
        status: {},
      },
      { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'bad' }, spec: { hosts: 5 } },
    ],
  };
  const state = readAll({
    'a.yaml': `# only a comment\n---\n${virtualService('a')}---\n${virtualService('b')}---\n`,
    'b.json': JSON.stringify(list, undefined, 1),
  });
  assert.deepEqual(names(state), ['a', 'b', 'c']);
  assert.deepEqual(
    state.set.virtualServices.map(({ meta }) => [meta.source.file, meta.source.line, meta.age]),
    [
      ['a.yaml', 3, 1],
      ['a.yaml', 10, 2],
      ['b.json', 5, 3],
    ],
  );
  assert.deepEqual(messages(state), [
    'b.json:38: error IST0106 VirtualService default/bad items[1].spec.hosts: 5 (a number) is not a list (the resource is not applied). Write a list, such as [5].',
  ]);
});

const NONE = '(the resource is not applied)';

const bad: readonly (readonly [string, string, string])[] = [
  [
    'an Istio kind that is not supported',
    'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\n',
    `a.yaml:2: error TRY0003 AuthorizationPolicy default/a kind: the kind AuthorizationPolicy is part of Istio's API and not supported yet ${NONE}. Remove the resource: it protects and changes nothing.`,
  ],
  [
    'a misspelt kind',
    'apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: a}\n',
    `a.yaml:2: error TRY0002 VirtualServise default/a kind: "VirtualServise" (networking.istio.io/v1) is not a kind that is known ${NONE}. Did you mean "VirtualService"?`,
  ],
  [
    'a kind of somebody else',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n',
    `a.yaml:1: error TRY0002 Deployment default/a apiVersion: Deployment (apps/v1) is a kind of Kubernetes, which means nothing here ${NONE}. Remove the resource.`,
  ],
  [
    'a kind like one of another API',
    'apiVersion: rbac.istio.io/v1alpha1\nkind: ServiceRole\nmetadata: {name: a}\n',
    `a.yaml:2: error TRY0002 ServiceRole default/a kind: "ServiceRole" (rbac.istio.io/v1alpha1) is not a kind that is known ${NONE}. Use one of: ${Object.keys(KINDS).join(', ')}.`,
  ],
  [
    'the Gateway of another API',
    'apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n',
    `a.yaml:1: error TRY0002 Gateway default/a apiVersion: Gateway (gateway.networking.k8s.io/v1) is a kind of Kubernetes, which means nothing here ${NONE}. Remove the resource, or describe the same by a Gateway of networking.istio.io/v1.`,
  ],
  [
    "Kubernetes' own Service",
    'apiVersion: v1\nkind: Service\nmetadata: {name: a}\n',
    `a.yaml:1: error TRY0002 Service default/a apiVersion: Service (v1) is a kind of Kubernetes, which means nothing here ${NONE}. Remove the resource, or describe the same by a Service of trysail.dev/v1.`,
  ],
  [
    'what is not indented far enough',
    'apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspec:\n  outboundTrafficPolicy:\n  mode: ALLOW_ANY\n  egress: [{hosts: ["*/*"]}]\n',
    `a.yaml:6: error IST0106 Sidecar default/a spec.mode: unknown key "mode" ${NONE}. It belongs to "outboundTrafficPolicy": indent it further than that.`,
  ],
  [
    'no name',
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  namespace: a\n',
    `a.yaml:3: error IST0106 metadata.name: "name" is missing ${NONE}. Add it, as a string.`,
  ],
  [
    'a name with capitals',
    'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: Web_1\n',
    `a.yaml:4: error IST0106 VirtualService default/Web_1 metadata.name: "Web_1" is not a valid name ${NONE}. Use lower-case letters, digits and "-", beginning and ending with a letter or digit.`,
  ],
  [
    'a key beside the envelope',
    `sepc: {}\n${virtualService('a')}`,
    `a.yaml:1: error IST0106 VirtualService default/a sepc: unknown key "sepc" ${NONE}. Did you mean "spec"?`,
  ],
  [
    'a document that is no mapping',
    'hello\n',
    `a.yaml:1: error IST0106: the document is "hello" (a string), not a mapping ${NONE}. Write a mapping.`,
  ],
];

for (const [what, text, expected] of bad)
  test(`a document with ${what}`, () => assert.deepEqual(messages(readAll({ 'a.yaml': text })), [expected]));

test('a file with a syntax error keeps all that it held', () => {
  const good = `${virtualService('a')}---\n${virtualService('b')}`;
  const state = readAll({ 'a.yaml': good }, { 'a.yaml': `${virtualService('a', 'c')}---\nkind: [\n` });
  assert.deepEqual(destinations(state), ['b', 'b']);
  assert.match(messages(state)[0] ?? '', /^a\.yaml:9: error TRY0001: .* \(the last good version of the file stays/);
  const repaired = readResources(state, [{ file: 'a.yaml', text: virtualService('a', 'c') }]);
  assert.deepEqual(destinations(repaired), ['c']);
  assert.deepEqual(repaired.set.diagnostics, []);
});

test('a file that was never good gives nothing, and says so', () => {
  const state = readAll({ 'a.yaml': `${virtualService('a')}---\nkind: [\n`, 'b.yaml': virtualService('b') });
  assert.deepEqual(names(state), ['b']);
  assert.match(messages(state)[0] ?? '', /^a\.yaml:9: error TRY0001: .* \(nothing of the file is applied\)/);
});

test('a faulty resource keeps its own last good version, and takes no other down', () => {
  const good = `${virtualService('a')}---\n${virtualService('b')}`;
  const faulty = `${virtualService('a', 'c').replace('http:', 'htpp:')}---\n${virtualService('b', 'c')}`;
  const state = readAll({ 'a.yaml': good }, { 'a.yaml': faulty });
  assert.deepEqual(destinations(state), ['b', 'c']);
  assert.match(messages(state).join('\n'), /"htpp" \(the last good version stays in force\)/);
});

test('a resource that cannot even be named does not remove what the file held', () => {
  const state = readAll(
    { 'a.yaml': `${virtualService('a')}---\n${virtualService('b')}` },
    { 'a.yaml': `${virtualService('a', 'c')}---\n${virtualService('b').replace('name: b', 'nmae: b')}` },
  );
  assert.deepEqual(destinations(state), ['c', 'b']);
});

test('a removed resource and a removed file are gone', () => {
  const both = { 'a.yaml': `${virtualService('a')}---\n${virtualService('b')}`, 'b.yaml': virtualService('c') };
  assert.deepEqual(names(readAll(both, { 'a.yaml': virtualService('b') })), ['b']);
});

test('of two of one name the first holds, by the names of the files', () => {
  const state = readAll({ 'b.yaml': virtualService('a', 'second'), 'a.yaml': virtualService('a', 'first') });
  assert.deepEqual(destinations(state), ['first']);
  assert.deepEqual(messages(state), [
    'b.yaml:1: error TRY0004 VirtualService default/a: stands in a.yaml:1 already, which holds. Remove or rename one of the two.',
  ]);
});

test('the same name in another namespace or kind is another resource', () => {
  const state = readAll({
    'a.yaml': virtualService('a'),
    'b.yaml': virtualService('a', 'b', ', namespace: shop'),
    'c.yaml': 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a}\n',
  });
  assert.deepEqual(messages(state), []);
  assert.equal(state.set.virtualServices.length, 2);
});

test('a creation time decides the age', () => {
  const state = readAll({
    'a.yaml': virtualService('young', 'b', ', creationTimestamp: "2026-02-01T00:00:00Z"'),
    'b.yaml': virtualService('old', 'b', ', creationTimestamp: "2026-01-01T00:00:00Z"'),
    'c.yaml': virtualService('none', 'b', ', creationTimestamp: null'),
  });
  assert.deepEqual(names(state), ['none', 'old', 'young']);
});

test('what did not change keeps its object, lists and the whole set too', () => {
  const files = { 'b.yaml': `${virtualService('a')}---\n${virtualService('b')}`, 'c.yaml': virtualService('c') };
  const first = readAll(files);
  const again = readResources(
    first,
    Object.entries(files).map(([file, text]) => ({ file, text })),
  );
  assert.equal(again.set, first.set);

  const changed = { ...files, 'a.yaml': virtualService('new'), 'c.yaml': virtualService('c', 'elsewhere') };
  const second = readResources(
    first,
    Object.entries(changed).map(([file, text]) => ({ file, text })),
  );
  const [a, b] = first.set.virtualServices;
  assert.deepEqual(names(second), ['new', 'a', 'b', 'c']);
  assert.equal(second.set.virtualServices[1], a);
  assert.equal(second.set.virtualServices[2], b);
  assert.notEqual(second.set.virtualServices[3], first.set.virtualServices[2]);
  assert.equal(second.set.destinationRules, first.set.destinationRules);
});

test('however many faults a resource has and however long its values are, little is said', () => {
  const long = 'x'.repeat(100_000);
  const routes = Array.from({ length: 5000 }, (_, i) => ({ timeout: i === 0 ? long : i, route: 5 }));
  const spec = { hosts: ['a'], http: routes };
  const text = JSON.stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'a' },
    spec,
  });
  const { diagnostics } = readAll({ 'a.yaml': text }).set;
  assert.ok(diagnostics.length > 10 && diagnostics.length < 100, `${diagnostics.length} diagnostics`);
  assert.ok(diagnostics.some(({ message }) => /^has \d+ faults more$/.test(message)));
  for (const { message, object = '' } of diagnostics) assert.ok(message.length < 1000 && object.length < 1000);
});

const FRAGMENTS = [
  virtualService('a'),
  virtualService('b', 'c'),
  virtualService('a', 'other'),
  'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: a, subsets: [{name: v1}]}\n',
  'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {mtls: {mode: STRICT}}\n',
  'apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.b], resolution: DNS, ports: [{number: 80}], endpoints: [{address: 10.0.0.1}]}\n',
  'apiVersion: trysail.dev/v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{number: 80}], serviceAccounts: [a]}\n',
  'kind: [\n',
];

const mutated = fc
  .record({
    text: fc.constantFrom(...FRAGMENTS),
    cuts: fc.array(
      fc.record({
        at: fc.nat(300),
        length: fc.nat(5),
        insert: fc.constantFrom('', 'x', '5', '[', '}', ':', '\n', '~', '"', '- ', '{}', '*'),
      }),
      { maxLength: 4 },
    ),
  })
  .map(({ text, cuts }) => {
    let result = text;
    for (const { at, length, insert } of cuts) result = result.slice(0, at) + insert + result.slice(at + length);
    return result;
  });

test('mutated YAML never throws, always has a line, and what is applied was good', () => {
  fc.assert(
    fc.property(fc.array(mutated, { maxLength: 4 }), (documents) => {
      const state = readAll({ 'a.yaml': documents.join('---\n') }, { 'a.yaml': documents.toReversed().join('---\n') });
      for (const { source, message } of state.set.diagnostics) {
        assert.ok(source !== undefined && source.line >= 1);
        assert.notEqual(message, '');
      }
      for (const { hosts, http } of state.set.virtualServices) assert.ok(hosts.length > 0 && http.length > 0);
    }),
    { numRuns: 500 },
  );
});

test('the result does not depend on the order in which files are read', () => {
  fc.assert(
    fc.property(fc.array(mutated, { minLength: 2, maxLength: 5 }), (texts) => {
      const files = texts.map((text, i) => ({ file: `${i}.yaml`, text }));
      assert.deepEqual(parseResources(files.toReversed()), parseResources(files));
    }),
  );
});

test('from the same good state the same files give the same resources, in one step or in two', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1 }), fc.nat(4), (all, some) => {
      const files = all.map((name) => ({ file: `${name}.yaml`, text: virtualService(name) }));
      const inTwo = readResources(readResources(undefined, files.slice(0, some)), files);
      assert.deepEqual(names(inTwo), names(readResources(undefined, files)));
    }),
  );
});
