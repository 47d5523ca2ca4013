import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uidIn, userId } from './users.ts';

test('users are found by name and by number', async () => {
  assert.equal(uidIn('root:x:0:0::/root:/bin/sh\norders:x:1001:1001::/:/bin/false\n', 'orders'), 1001);
  assert.equal(uidIn('orders2:x:5:5:::\n', 'orders'), undefined);
  assert.equal(await userId('root'), 0);
  assert.equal(await userId('1234'), 1234);
  assert.equal(await userId('no-such-user'), undefined);
  assert.equal(await userId('--help'), undefined);
});
