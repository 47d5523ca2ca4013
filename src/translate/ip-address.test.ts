import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isIpAddress } from './ip-address.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('addresses of both versions', () => {
  for (const address of ['10.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', '1:2:3:4:5:6:7:8', '::ffff:10.0.0.1'])
    assert.equal(isIpAddress(address), true, address);
});

test('what is none', () => {
  const wrong = ['', 'localhost', '10.0.0', '10.0.0.256', '010.0.0.1', '1:2:3', '1::2::3', ':::', '1:2:3:4:5:6:7::8:9'];
  for (const text of [...wrong, 'fe80::1%eth0', '1.2.3.4:80', '1.2.3.4::'])
    assert.equal(isIpAddress(text), false, text);
});

test('agrees with Node on what is made of the same characters', () => {
  const group = fc.stringMatching(/^[0-9a-f]{0,5}$/);
  const like = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.array(group, { minLength: 1, maxLength: 9 }).map((groups) => groups.join(':')),
    fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
  );
  fc.assert(
    fc.property(like, (text) => {
      assert.equal(isIpAddress(text), isIP(text) !== 0, text);
    }),
    { numRuns: 2000 },
  );
});
