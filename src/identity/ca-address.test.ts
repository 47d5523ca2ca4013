import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCaAddress, parseCaAddress } from './ca-address.ts';

test('parseCaAddress() takes names, IPv4 and bracketed IPv6, with 15012 as the default', () => {
  assert.deepEqual(parseCaAddress('10.0.0.1:99'), { host: '10.0.0.1', port: 99 });
  assert.deepEqual(parseCaAddress('ca.example'), { host: 'ca.example', port: 15_012 });
  assert.deepEqual(parseCaAddress('[::1]:99'), { host: '::1', port: 99 });
  assert.equal(formatCaAddress(parseCaAddress('[2001:db8::1]')), '[2001:db8::1]:15012');
});

test('parseCaAddress() refuses the rest', () => {
  for (const text of ['', 'https://ca:1', 'ca:0', 'ca:65536', 'ca:x', '::1', '[::1', 'a b:1', 'ca:1:2']) {
    assert.throws(() => parseCaAddress(text), { code: 'CA_ADDRESS_INVALID' }, text);
  }
});
