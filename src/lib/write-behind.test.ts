import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { WriteBehind } from './write-behind.ts';

interface Scene {
  readonly behind: WriteBehind<string>;
  readonly written: string[];
  readonly failures: string[];
  fault: string | undefined;
}

function scene(t: TestContext): Scene {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const made: Scene = {
    written: [],
    failures: [],
    fault: undefined,
    behind: new WriteBehind({
      write: async (state) => {
        if (made.fault !== undefined) throw new Error(made.fault);
        made.written.push(state);
      },
      soonMs: 100,
      betweenMs: 60_000,
      retryMs: 1000,
      onFailure: (reason) => void made.failures.push(reason),
    }),
  };
  return made;
}

test('changes of one moment are one write, and the next one waits', async (t) => {
  const { behind, written } = scene(t);
  behind.keep('a');
  behind.keep('b');
  t.mock.timers.tick(99);
  assert.deepEqual(written, []);
  t.mock.timers.tick(1);
  assert.deepEqual(written, ['b']);
  await setImmediate();
  behind.keep('c');
  t.mock.timers.tick(1000);
  assert.deepEqual([written, behind.newest], [['b'], 'c'], 'written a moment ago');
  t.mock.timers.tick(60_000);
  assert.deepEqual(written, ['b', 'c']);
});

test('what fails is said once and tried again, in its newest form', async (t) => {
  const made = scene(t);
  const { behind, written, failures } = made;
  made.fault = 'no space';
  behind.keep('a');
  await behind.flush();
  await behind.flush();
  assert.deepEqual([failures, behind.failure], [['no space'], 'no space']);
  behind.keep('b');
  made.fault = undefined;
  t.mock.timers.tick(1000);
  await setImmediate();
  assert.deepEqual([written, behind.failure], [['b'], undefined]);
});

test('what is in doubt is not written; what is written can be written again', async (t) => {
  const { behind, written } = scene(t);
  behind.keep('a');
  behind.doubt();
  behind.again();
  await behind.flush();
  assert.deepEqual([written, behind.newest], [[], undefined]);
  behind.keep('b');
  await behind.flush();
  behind.again();
  await behind.flush();
  assert.deepEqual(written, ['b', 'b']);
});
