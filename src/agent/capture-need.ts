/** Whether a host has to do with capture, without loading any of it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { capturedCallers } from './callers.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

/** Whether something is captured, or rules were applied once, which an agent then has to know of. */
export function needsCapture(settings: AgentSettings): boolean {
  return (
    capturedCallers(settings).length > 0 ||
    settings.services.some(({ inbound, mode }) => inbound?.capture !== undefined && isProxied(mode)) ||
    // As `captureFiles` names it.
    existsSync(join(settings.paths.state, 'capture.json'))
  );
}
