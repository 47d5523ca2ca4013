import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Diagnostic } from '../model/diagnostic.ts';
import { DiagnosticLog, summarise } from './diagnostic-log.ts';

const fault = (code: string, severity: Diagnostic['severity']): Diagnostic => ({
  code,
  severity,
  message: `of ${code}`,
});

test('each complaint is told once when it comes and once when it is gone', (t) => {
  const lines: string[] = [];
  const write = (level: string) => (fields: unknown, text: string) =>
    void lines.push(`${level} ${text} ${JSON.stringify(fields)}`);
  let wrong: readonly Diagnostic[] = [fault('TRY1', 'error'), fault('TRY2', 'info')];
  const summaries: string[] = [];
  const watch = new DiagnosticLog({
    read: () => wrong,
    log: { info: write('info'), warn: write('warn'), error: write('error') } as never,
    onChange: (all) => summaries.push(summarise(all)),
    intervalMs: 3_600_000,
  });
  t.after(() => watch.close());
  watch.review();
  assert.deepEqual(lines.splice(0), ['error something is wrong {"code":"TRY1","diagnostic":"error TRY1: of TRY1."}']);
  wrong = [fault('TRY3', 'warning')];
  watch.review();
  assert.deepEqual(lines.splice(0), [
    'warn something is wrong {"code":"TRY3","diagnostic":"warning TRY3: of TRY3."}',
    'info no longer wrong {"diagnostic":"error TRY1: of TRY1."}',
  ]);
  wrong = Array.from({ length: 100 }, (_, i) => fault(`TRY${i + 10}`, 'error'));
  watch.review();
  assert.equal(lines.length, 22);
  assert.match(lines.at(-1) ?? '', /further changes.*"untold":80/);
  assert.deepEqual(summaries, ['1 error', '1 warning', '100 errors']);
});
