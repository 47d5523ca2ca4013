import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { bypassDiagnostics, bypassDiagnosticsOf } from './bypass-report.ts';
import { bypassDir, writeBypassState } from './bypass-state.ts';

function said(...entries: Parameters<typeof bypassDiagnosticsOf>[0]): readonly string[] {
  return bypassDiagnosticsOf(entries, 1000).map(formatDiagnostic);
}

test('a bypass is told with what is left of it, and how it ends', () => {
  assert.deepEqual(said({ name: '*' }), [
    'warning TRY0111 bypass: everything goes past the proxy, until it is ended: no policy, no mutual TLS. trysail bypass --all --end',
  ]);
  assert.match(
    said({ name: 'payments', endsAtUptimeS: 1090 })[0] ?? '',
    /payments goes past the proxy, for 1m 30s more/,
  );
});

test('one that has had its time is not', () => {
  assert.deepEqual(said({ name: 'payments', endsAtUptimeS: 999 }), []);
});

test('it is read where the command writes it', async (t) => {
  const run = join(tmpdir(), `bypass-report-${process.pid}`);
  t.after(() => writeBypassState(bypassDir(run), { entries: [], restoreRouteLocalnet: false }));
  assert.deepEqual(await bypassDiagnostics(run), []);
  await mkdir(bypassDir(run), { recursive: true });
  await writeBypassState(bypassDir(run), { entries: [{ name: 'payments' }], restoreRouteLocalnet: false });
  assert.equal((await bypassDiagnostics(run)).length, 1);
});
