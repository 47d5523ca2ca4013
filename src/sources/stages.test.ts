import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type StageResults, stagesAfter } from './stages.ts';

test('a stage is made again only when one of its inputs is another object', () => {
  const made: (readonly number[] | undefined)[] = [];
  let last: StageResults | undefined;
  const run = (inputs: readonly unknown[]): readonly number[] => {
    const { stage, results } = stagesAfter(last);
    last = results;
    return stage<readonly number[]>('sum', inputs, (before) => {
      made.push(before);
      return [made.length];
    });
  };
  const [a, b] = [{}, {}];
  const first = run([a, b]);
  assert.equal(run([a, b]), first);
  assert.deepEqual(made, [undefined]);
  assert.deepEqual(run([a, {}]), [2]);
  assert.equal(made[1], first);
  assert.deepEqual(run([a]), [3]);
});

test('runs after the same one do not disturb each other', () => {
  const first = stagesAfter(undefined);
  first.stage('name', [1], () => 'one');
  const [second, third] = [stagesAfter(first.results), stagesAfter(first.results)];
  assert.equal(
    second.stage('name', [2], () => 'two'),
    'two',
  );
  assert.equal(
    third.stage('name', [1], () => 'made again'),
    'one',
  );
});
