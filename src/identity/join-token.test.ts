import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeJoinToken, encodeJoinToken } from './join-token.ts';

const TOKEN = { ca: ['10.0.0.1:15012'], root: 'ab'.repeat(32), id: 'f00dfeed0001', secret: 'S'.repeat(43) };

test('a token survives its text, and white space around that', () => {
  const text = encodeJoinToken(TOKEN);
  assert.match(text, /^trysail-join-1\.[A-Za-z0-9_-]+$/);
  assert.deepEqual(decodeJoinToken(`  ${text}\n`), TOKEN);
});

test('anything else is refused without being quoted', () => {
  const text = encodeJoinToken(TOKEN);
  const bad = [
    '',
    'trysail-join-1.',
    text.slice(0, -9),
    `x${text}`,
    text.replace('-1.', '-2.'),
    'trysail-join-1.'.padEnd(9000, 'A'),
    encodeJoinToken({ ...TOKEN, root: 'abc' }),
    encodeJoinToken({ ...TOKEN, id: '../x' }),
    encodeJoinToken({ ...TOKEN, ca: [] }),
    encodeJoinToken({ ...TOKEN, more: 1 } as never),
  ];
  for (const one of bad) {
    assert.throws(
      () => decodeJoinToken(one),
      (error: Error & { code?: string }) => error.code === 'TOKEN_MALFORMED' && !error.message.includes('SSSS'),
      one,
    );
  }
});
