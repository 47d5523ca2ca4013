import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADDRESS_RANGE, isLoopback, isWildcard } from './address-forms.ts';

test('an address is of one kind in all its spellings', () => {
  for (const loopback of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1', '::0001', '::ffff:127.0.0.1'])
    assert.deepEqual([isLoopback(loopback), isWildcard(loopback)], [true, false], loopback);
  for (const all of ['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '::ffff:0.0.0.0'])
    assert.deepEqual([isLoopback(all), isWildcard(all)], [false, true], all);
  for (const other of ['10.0.0.1', '::2', '::12', 'fe80::1%eth0', 'localhost', '127.example', ''])
    assert.deepEqual([isLoopback(other), isWildcard(other)], [false, false], other);
});

test('a range has no bit set after its length', () => {
  for (const range of ['10.0.0.0/8', '10.1.2.3', '10.1.2.3/32', '0.0.0.0/0', 'fd00::/8', 'fd12:3456::1', '::/0'])
    assert.equal(ADDRESS_RANGE.parse(range), range);
  for (const wrong of [
    '10.1.0.0/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fd12::1/64',
    'fd00::/129',
    '::/x',
    'a',
    7,
  ])
    assert.equal(ADDRESS_RANGE.parse(wrong), undefined, String(wrong));
});
