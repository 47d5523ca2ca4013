import assert from 'node:assert/strict';
import { test } from 'node:test';
import { caFailure } from './ca-failure.ts';

const UNAVAILABLE = 14;

test('a CA that does not answer is told with the reason, and nothing after it', () => {
  const details =
    'No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.1:15012. Resolution note: ';
  const { code, message } = caFailure({ host: '10.0.0.1', port: 15012 }, { code: UNAVAILABLE, details });
  assert.equal(code, 'CA_UNREACHABLE');
  assert.match(message, /ECONNREFUSED 10\.0\.0\.1:15012$/);
});
