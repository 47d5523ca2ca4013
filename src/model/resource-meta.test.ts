import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareAge, type ResourceMeta } from './resource-meta.ts';

const meta = (name: string, namespace = 'default', age = 1): ResourceMeta => ({
  kind: 'Gateway',
  namespace,
  name,
  labels: {},
  source: { file: 'x.yaml', line: 1 },
  age,
});

test('the oldest first, then names by code units, as on every other host', () => {
  const sorted = [meta('ab'), meta('a-b', 'shop'), meta('a.c'), meta('a-b'), meta('z', 'a', 0)].toSorted(compareAge);
  assert.deepEqual(
    sorted.map(({ namespace, name }) => `${namespace}/${name}`),
    ['a/z', 'default/a-b', 'shop/a-b', 'default/a.c', 'default/ab'],
  );
});
