import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLogLine } from './log-line.ts';

const CASES: readonly (readonly [string, ReturnType<typeof parseLogLine>])[] = [
  [
    '2026-11-22T09:14:00.948+00:00 warning main caught ENVOY_SIGTERM',
    { level: 'warn', component: 'main', message: 'caught ENVOY_SIGTERM' },
  ],
  [
    String.raw`2026-11-22T09:14:00.948+00:00 critical main error: a\n  b`,
    { level: 'error', component: 'main', message: String.raw`error: a\n  b` },
  ],
  ['2026-11-22T09:14:00.948+00:00 trace conn_handler x', { level: 'debug', component: 'conn_handler', message: 'x' }],
  [
    '2026-11-22T09:14:00.948+00:00 warning misc Skipping duplicate tag for ',
    { level: 'debug', component: 'misc', message: 'Skipping duplicate tag for ' },
  ],
  ['PARSE ERROR: Argument: --nope', { level: 'warn', component: '', message: 'PARSE ERROR: Argument: --nope' }],
  ['', { level: 'warn', component: '', message: '' }],
];

for (const [text, expected] of CASES)
  test(`parseLogLine() of ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseLogLine(text), expected);
  });
