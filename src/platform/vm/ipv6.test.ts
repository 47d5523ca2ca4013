import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasIpv6 } from './ipv6.ts';

test('IPv6 is there where the loopback interface has its address', async () => {
  const loopback = '00000000000000000000000000000001 01 80 10 80       lo\n';
  const link = 'fe80000000000000025056fffea3b1c2 02 40 20 80     eth0\n';
  assert.equal(await hasIpv6(link + loopback), true);
  assert.equal(await hasIpv6(link), false);
  assert.equal(await hasIpv6(''), false);
});
