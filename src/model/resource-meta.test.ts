import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
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

test('the oldest first, then by name and namespace', () => {
  const sorted = [meta('b'), meta('a', 'shop'), meta('a'), meta('z', 'a', 0)].toSorted(compareAge);
  assert.deepEqual(
    sorted.map(({ namespace, name }) => `${namespace}/${name}`),
    ['a/z', 'default/a', 'shop/a', 'default/b'],
  );
});

test('which of two equally old resources holds does not depend on the language of the host', () => {
  // In Danish "aa" is the last letter.
  const module = join(import.meta.dirname, 'resource-meta.ts');
  const script = `import { compareAge } from ${JSON.stringify(module)};
    const named = (name) => ({ name, namespace: 'x', age: 1 });
    process.stdout.write(String(compareAge(named('aa'), named('ab'))));`;
  const env = { ...process.env, LC_ALL: 'da_DK.UTF-8' };
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' });
  assert.equal(said, '-1');
});
