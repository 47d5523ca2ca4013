import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BitSet } from './bit-set.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('behaves as a set of numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(200))), (steps) => {
      const bits = new BitSet();
      const model = new Set<number>();
      for (const [add, bit] of steps) {
        assert.equal(add ? bits.add(bit) : bits.delete(bit), add ? !model.has(bit) : model.has(bit));
        if (add) model.add(bit);
        else model.delete(bit);
        assert.equal(bits.has(bit), add);
      }
      assert.equal(bits.size, model.size);
      assert.deepEqual(
        [...bits],
        [...model].sort((a, b) => a - b),
      );
    }),
  );
});
