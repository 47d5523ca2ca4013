import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { sameBytes } from './same-bytes.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const bytes = fc.uint8Array({ maxLength: 20 });

/** The same bytes at another place of their buffer. */
function shifted(value: Uint8Array, by: number): Uint8Array {
  const buffer = new Uint8Array(value.length + by);
  buffer.set(value, by);
  return buffer.subarray(by);
}

test('equal bytes are the same wherever they lie', () => {
  fc.assert(
    fc.property(bytes, fc.nat(5), fc.nat(5), (value, a, b) => {
      assert.equal(sameBytes(shifted(value, a), shifted(value, b)), true);
    }),
  );
});

test('one other byte, anywhere, is another string', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat(), fc.nat(5), (value, at, by) => {
      const other = value.map((byte, i) => (i === at % value.length ? byte ^ 1 : byte));
      assert.equal(sameBytes(value, shifted(other, by)), false);
      assert.equal(sameBytes(value, value.subarray(1)), false);
    }),
  );
});
