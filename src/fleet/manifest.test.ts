import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readManifests, writtenLine } from './manifest.ts';

const read = (text: string, namespace = 'shop'): ReturnType<typeof readManifests> =>
  readManifests([{ file: 'a.yaml', text }], namespace);

const RESOURCE = 'apiVersion: v1\nkind: VirtualService\nmetadata:\n  name: web # the shop\nspec: {}\n';

test('each document is a resource with its comments and a namespace', () => {
  const text = `# first\n${RESOURCE}---\n\n# second\n${RESOURCE.replace('web', 'api').replace('spec', '  namespace: pay\nspec')}...\n`;
  const [web, api] = read(text);
  assert.deepEqual([web?.namespace, web?.name, api?.namespace, api?.name], ['shop', 'web', 'pay', 'api']);
  assert.match(web?.text ?? '', /^# first\n[^]*name: web # the shop\n {2}namespace: shop\nspec/);
  assert.match(api?.text ?? '', /^# second\napiVersion[^]*namespace: pay\nspec: \{\}\n$/);
});

test('a line of the text is told as the line of the file, also after the namespace that was added', () => {
  const text = `${RESOURCE}---\n# second\n${RESOURCE.replace('web', 'api')}`;
  for (const one of read(text)) {
    const lines = one.text.split('\n');
    for (const word of ['kind: ', 'name: ', 'spec: ']) {
      const line = lines.findIndex((written) => written.trim().startsWith(word)) + 1;
      const inFile = text.split('\n')[writtenLine(one.lines, line) - 1] ?? '';
      assert.ok(inFile.trim().startsWith(word), `${one.name} ${word}: ${inFile}`);
    }
  }
});

test('what is applied twice has one text, whatever stands around it', () => {
  const [first] = read(RESOURCE);
  const [second] = read(`---\n\n${RESOURCE}\n\n---\n`);
  assert.equal(first?.text, second?.text);
  const [own] = read(first?.text ?? '', 'other');
  assert.equal(own?.text, first?.text, 'and what "get" prints is unchanged');
});

test('the items of a List are resources', () => {
  const list = {
    kind: 'List',
    items: [
      { kind: 'Gateway', metadata: { name: 'a' } },
      { kind: 'Gateway', metadata: { name: 'b', namespace: 'x' } },
    ],
  };
  assert.deepEqual(
    read(JSON.stringify(list)).map(({ namespace, name }) => `${namespace}/${name}`),
    ['shop/a', 'x/b'],
  );
});

for (const [what, text, message] of [
  ['syntax', `${RESOURCE}---\na: [`, /^a\.yaml:7: /],
  ['no kind', 'metadata: { name: a }', /a\.yaml:1: a resource without a valid "kind"/],
  ['no name', 'kind: Gateway', /a Gateway without a valid "metadata.name"/],
  ['a path as name', 'kind: Gateway\nmetadata: { name: ../../x }', /without a valid "metadata.name"/],
  ['a path as namespace', 'kind: Gateway\nmetadata: { name: x, namespace: ../y }', /no valid "metadata.namespace"/],
  ['the same twice', `${RESOURCE}---\n${RESOURCE}`, /a\.yaml:7: VirtualService shop\/web stands in a\.yaml:1 already/],
  ['too large', `${RESOURCE}# ${'x'.repeat(300_000)}\n`, /larger than/],
] as const)
  test(`${what} is refused with its place`, () => {
    assert.throws(() => read(text), { code: 'FLEET_MANIFEST', message });
  });

test('what a resource takes from anchors and merged mappings is its own', () => {
  const [own] = read(
    'apiVersion: v1\nkind: VirtualService\nmetadata: &m { name: web }\nspec:\n  base: &base { a: 1 }\n  all: { <<: *base, b: 2 }\n',
  );
  assert.match(own?.text ?? '', /^apiVersion[^]*namespace: shop[^]*<<: \*base/, 'as it was written');
  const [first, second] = read(
    `kind: List
items:
- { apiVersion: v1, kind: VirtualService, metadata: &m { name: web, namespace: pay }, spec: &s { a: 1 } }
- { apiVersion: v1, kind: VirtualService, metadata: { <<: *m, name: api }, spec: { <<: *s, b: 2 } }
`,
  );
  assert.deepEqual([first?.namespace, second?.namespace, second?.name], ['pay', 'pay', 'api']);
  assert.match(second?.text ?? '', /spec:\n {2}a: 1\n {2}b: 2\n$/);
  const [aliased] = read('x: &m { name: web }\napiVersion: v1\nkind: VirtualService\nmetadata: *m\nspec: {}\n');
  assert.match(aliased?.text ?? '', /metadata:\n {2}name: web\n {2}namespace: shop\n/);
});

test('a template is called one', () => {
  assert.throws(() => read(RESOURCE.replace('web #', '{{ .Values.name }} #')), /a\.yaml:4: it is a template/);
});
