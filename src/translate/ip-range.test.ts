import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdsRange, ipRange } from './ip-range.ts';

function shown(text: string): string | undefined {
  const range = ipRange(text);
  return range && `${range.address}/${range.bits}`;
}

test('bits that do not count are gone', () => {
  assert.equal(shown('10.1.2.3/8'), '10.0.0.0/8');
  assert.equal(shown('10.1.2.3/20'), '10.1.0.0/20');
  assert.equal(shown('10.1.2.3'), '10.1.2.3/32');
  assert.equal(shown('fd12:3456::1/20'), 'fd12:3000:0:0:0:0:0:0/20');
  assert.equal(shown('::/0'), '0:0:0:0:0:0:0:0/0');
  assert.equal(shown('::ffff:1.2.3.4'), '::ffff:1.2.3.4/128');
});

test('what is no range', () => {
  for (const text of ['', 'x', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', '::/129', '10.0.0.0/1.5'])
    assert.equal(ipRange(text), undefined, text);
});

test('whether one holds the other', () => {
  const holds = (outer: string, inner: string): boolean => {
    const [a, b] = [ipRange(outer), ipRange(inner)];
    assert.ok(a && b);
    return holdsRange(a, b);
  };
  assert.equal(holds('10.0.0.0/8', '10.1.0.0/16'), true);
  assert.equal(holds('10.1.0.0/16', '10.0.0.0/8'), false);
  assert.equal(holds('10.0.0.0/8', '11.0.0.1'), false);
  assert.equal(holds('10.0.0.0/9', '10.128.0.1'), false);
  assert.equal(holds('0.0.0.0/0', '10.0.0.1'), true);
  assert.equal(holds('0.0.0.0/0', '::1'), false);
  assert.equal(holds('fd00::/8', 'fd12::1'), true);
  assert.equal(holds('::ffff:10.0.0.0/104', '::ffff:10.1.2.3'), true);
});
