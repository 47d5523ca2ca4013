/** What `trysail status` says of a bypass: that policies and mutual TLS do not hold must not be forgotten. */
import { formatDuration } from '../lib/duration.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { type BypassEntry, bypassDir, readBypassState, uptimeS } from './bypass-state.ts';

/** One for each entry that has not ended by now. */
export function bypassDiagnosticsOf(entries: readonly BypassEntry[], nowUptimeS: number): readonly Diagnostic[] {
  return entries.flatMap(({ name, endsAtUptimeS }): Diagnostic[] => {
    const leftS = endsAtUptimeS === undefined ? undefined : Math.ceil(endsAtUptimeS - nowUptimeS);
    if (leftS !== undefined && leftS <= 0) return [];
    const all = name === '*';
    const until = leftS === undefined ? 'until it is ended' : `for ${formatDuration(leftS * 1000)} more`;
    return [
      {
        code: 'TRY0111',
        severity: 'warning',
        object: 'bypass',
        message: `${all ? 'everything' : name} goes past the proxy, ${until}: no policy, no mutual TLS`,
        remedy: `trysail bypass ${all ? '--all' : name} --end`,
      },
    ];
  });
}

/** Those of now. Never rejects. */
export async function bypassDiagnostics(runDir: string): Promise<readonly Diagnostic[]> {
  const { entries } = await readBypassState(bypassDir(runDir));
  return entries.length === 0 ? [] : bypassDiagnosticsOf(entries, await uptimeS());
}
