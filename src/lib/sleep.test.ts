import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from './sleep.ts';

test('a sleep that is let pass says so', async () => {
  assert.equal(await sleep(1), true);
  assert.equal(await sleep(1, new AbortController().signal), true);
});

test('an abort ends a sleep, which resolves', async () => {
  const controller = new AbortController();
  const sleeping = sleep(1_000_000, controller.signal);
  controller.abort(new Error('no longer wanted'));
  assert.equal(await sleeping, false);
});

test('a signal that is aborted already does not wait', async () => {
  assert.equal(await sleep(1_000_000, AbortSignal.abort()), false);
});
