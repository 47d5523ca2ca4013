import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type AnsweredNames, ResolverWatch } from './resolver-watch.ts';

const NAMES: AnsweredNames = {
  listen: { address: '127.0.0.1', port: 15_053 },
  table: new Map([
    ['example.com', ['127.240.0.2']],
    ['reviews.mesh', ['127.240.0.1']],
  ]),
  domains: { routed: ['mesh'], left: ['example.com'] },
};

test('a name that resolves to its address is enough, whoever resolves it', async (t) => {
  const asked: string[] = [];
  const watch = new ResolverWatch(async (name) => {
    asked.push(name);
    return ['127.240.0.1'];
  }, 1);
  t.after(() => watch.close());
  watch.follow(NAMES);
  while (asked.length === 0) await delay(1);
  await delay(10);
  assert.deepEqual(asked, ['reviews.mesh']);
  assert.deepEqual(
    watch.diagnostics.map(({ object }) => object),
    ['name example.com'],
  );
});

test('a name that does not, or to another address, is an error until nobody answers any more', async (t) => {
  for (const addresses of [[], ['192.0.2.1']]) {
    const watch = new ResolverWatch(async () => addresses, 1);
    t.after(() => watch.close());
    watch.follow(NAMES);
    while (watch.diagnostics.length < 2) await delay(1);
    assert.deepEqual(
      watch.diagnostics.map(({ code, severity }) => [code, severity]),
      [
        ['TRY0109', 'error'],
        ['TRY0109', 'warning'],
      ],
    );
    watch.follow(undefined);
    assert.deepEqual(watch.diagnostics, []);
  }
});
