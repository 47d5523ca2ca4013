import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRetryOn, retryPolicy } from './retry-policy.ts';

const POLICY = {
  attempts: 3,
  perTryTimeoutMs: undefined,
  retryOn: undefined,
  retryRemoteLocalities: false,
  retryIgnorePreviousHosts: undefined,
  backoffMs: undefined,
};

test('status codes are named apart', () => {
  assert.deepEqual(parseRetryOn('connect-failure, 503,reset,429'), {
    retryOn: 'connect-failure,reset,retriable-status-codes',
    retriableStatusCodes: [503, 429],
  });
  assert.deepEqual(parseRetryOn('503').retryOn, 'retriable-status-codes');
});

test('nothing said is Istio’s default, in which no status code is named', () => {
  const policy = retryPolicy(undefined, false);
  assert.equal(policy?.numRetries, 2);
  assert.deepEqual(policy.retriableStatusCodes, []);
  assert.equal(retryPolicy(POLICY, false)?.retryOn, policy.retryOn);
});

test('no attempts, no retries', () => {
  assert.equal(retryPolicy({ ...POLICY, attempts: 0 }, false), undefined);
});

test('a hashed request stays with its host, unless its retries are said to go elsewhere', () => {
  for (const [said, sticky, predicates] of [
    [undefined, false, 1],
    [undefined, true, undefined],
    [true, true, 1],
    [false, false, undefined],
  ] as const) {
    const policy = retryPolicy({ ...POLICY, retryIgnorePreviousHosts: said }, sticky);
    assert.equal(policy?.retryHostPredicate?.length, predicates, `${said} ${sticky}`);
    assert.equal(policy?.hostSelectionRetryMaxAttempts, 5n);
  }
  assert.equal(retryPolicy(undefined, true)?.retryHostPredicate, undefined);
});
