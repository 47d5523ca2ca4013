/** What a host that captures nothing has to do with capture, without loading any of it. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { captureFifo, makeCaptureFifo } from '../platform/vm/capture-fifo.ts';
import { PATHS } from '../platform/vm/paths.ts';
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

/** The folder of the holder of the rules: of its systemd unit, else of the agent. */
export function captureDir({ envoy, paths }: Pick<AgentSettings, 'envoy' | 'paths'>): string {
  return envoy.launcher === 'systemd' ? PATHS.captureRun : join(paths.run, 'capture');
}

/**
 * Lets every Envoy hold the rules that are to come, whether there are any by now or not. To be called before Envoy starts;
 * never rejects.
 */
export async function letEnvoyHoldRules(settings: AgentSettings, log: Log): Promise<void> {
  const dir = captureDir(settings);
  const fifo = captureFifo(dir);
  try {
    // That of a unit is systemd's to make.
    if (settings.envoy.launcher === 'agent') await mkdir(dir, { recursive: true, mode: 0o750 });
    await makeCaptureFifo(fifo);
    // To the launcher that the agent starts; a unit says it itself.
    process.env['TRYSAIL_CAPTURE_FIFO'] = fifo;
  } catch (error) {
    log.warn({ error: errorMessage(error) }, 'capture can be switched on with a restart of Envoy alone');
  }
}
