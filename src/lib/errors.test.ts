import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCode, errorMessage, TrysailError } from './errors.ts';

test('an error carries its code, its remedy and its cause', () => {
  const cause = new Error('refused');
  const error = new TrysailError('CONSUL_UNREACHABLE', 'no answer', { remedy: 'Start it.', cause });
  assert.equal(error.code, 'CONSUL_UNREACHABLE');
  assert.equal(error.remedy, 'Start it.');
  assert.equal(error.cause, cause);
  assert.equal(error.name, 'TrysailError');
  assert.ok(!('cause' in new TrysailError('X', 'y')));
});

test('the message of whatever was thrown', () => {
  assert.equal(errorMessage(new Error('gone')), 'gone');
  assert.equal(errorMessage('gone'), 'gone');
  assert.equal(errorMessage(undefined), 'undefined');
  assert.equal(errorMessage(new AggregateError([new Error('a'), new Error('b')])), 'a; b');
  assert.equal(errorMessage(new AggregateError([new Error('a')], 'all failed')), 'all failed');
});

test('the code of a system error, and of nothing else', () => {
  assert.equal(errorCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT');
  assert.equal(errorCode(Object.assign(new Error('x'), { code: 5 })), undefined);
  assert.equal(errorCode(new Error('x')), undefined);
  assert.equal(errorCode({ code: 'ENOENT' }), undefined);
});
