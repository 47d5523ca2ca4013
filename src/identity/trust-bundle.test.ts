import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selfSignedRoot } from './certificate-authority.ts';
import { generatePrivateKey } from './private-key.ts';
import { mergeRoots, rootFacts } from './trust-bundle.ts';

const newRoot = async (domain: string): Promise<string> => selfSignedRoot(await generatePrivateKey(), domain);

test('mergeRoots() puts the new ones first, once, and drops what has expired', async () => {
  const [a, b] = [await newRoot('a'), await newRoot('b')];
  const now = Date.now();
  assert.deepEqual(mergeRoots([], [a], now), [a]);
  assert.deepEqual(mergeRoots([a], [b], now), [b, a]);
  assert.deepEqual(mergeRoots([b, a], [a], now), [a, b]);
  assert.deepEqual(mergeRoots([a], [`text\n${b}${a}`], now), [b, a]);
  assert.deepEqual(mergeRoots([a], [b], now + 11 * 365 * 86_400_000), []);
  assert.match(JSON.stringify(rootFacts(a)), /"subject":"O=a, CN=Trysail root CA"/);
});

test('mergeRoots() keeps a bounded number, the newest', async () => {
  const many = await Promise.all(Array.from({ length: 12 }, async (_, i) => newRoot(`d${i}`)));
  let known: readonly string[] = [];
  for (const root of many) known = mergeRoots(known, [root], Date.now());
  assert.deepEqual(known, many.toReversed().slice(0, 10));
});
