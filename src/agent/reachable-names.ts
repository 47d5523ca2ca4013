/** Whether calls by name would arrive: a name must not resolve to an address that leads nowhere. */

import { isLoopback } from './address-forms.ts';
import { capturedCallers } from './callers.ts';
import type { AgentSettings } from './settings.ts';

/**
 * Whether the resolver may be told the names of the mesh. Not in mode `off`, where calls are the host's own; and not while
 * nothing but capture's rules would lead to their addresses and nobody has put these in force for good: a trial ends by
 * itself, also with the agent away.
 * @param isCaptured whether somebody has
 */
export function namesAreReachable(settings: AgentSettings, isCaptured: boolean): boolean {
  if (settings.mode === 'off') return false;
  const needsRules = settings.dns.addresses.some((range) => !isLoopback(range.split('/')[0] ?? ''));
  return !needsRules || (isCaptured && capturedCallers(settings).length > 0);
}
