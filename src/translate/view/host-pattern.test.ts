import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestSpecificity, specificity } from './host-pattern.ts';

test('the name itself before the longest wildcard before the star', () => {
  const host = 'reviews.default.mesh';
  const found = [host, '*.default.mesh', '*.mesh', '*'].map((pattern) => specificity(pattern, host) ?? -1);
  assert.deepEqual(
    found,
    found.toSorted((a, b) => b - a),
  );
  assert.equal(new Set(found).size, 4);
});

test('a wildcard covers labels, not the name that it ends with', () => {
  assert.equal(specificity('*.foo.com', 'foo.com'), undefined);
  assert.equal(specificity('*.foo.com', 'barfoo.com'), undefined);
  assert.equal(specificity('*foo.com', 'barfoo.com'), undefined);
  assert.notEqual(specificity('*.foo.com', 'a.b.foo.com'), undefined);
});

test('any name of the host counts', () => {
  assert.equal(
    bestSpecificity(['*.service.consul'], ['a.default.mesh', 'a.service.consul']),
    '*.service.consul'.length,
  );
  assert.equal(bestSpecificity(['other'], ['a']), undefined);
});
