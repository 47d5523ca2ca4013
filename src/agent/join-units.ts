/** The units of systemd that make a host a member of a mesh: which it needs, and their start. */
import { TrysailError } from '../lib/errors.ts';
import { hasUnit, isActive, type JoinMachine } from './join-machine.ts';
import type { AgentSettings } from './settings.ts';

const AGENT_UNIT = 'trysail.service';
const ENVOY_UNIT = 'trysail-envoy.service';
const CAPTURE_UNIT = 'trysail-capture.service';
/** In the order in which they start; none where systemd does not run them. */
export async function unitsFor(machine: JoinMachine, settings: AgentSettings): Promise<readonly string[]> {
  if (!(await hasUnit(machine, AGENT_UNIT))) return [];
  const { capture, services } = settings;
  const captures =
    capture.outbound !== 'none' ||
    capture.interfaces.length > 0 ||
    services.some(({ inbound }) => inbound?.capture !== undefined);
  return [...(captures ? [CAPTURE_UNIT] : []), ENVOY_UNIT, AGENT_UNIT];
}

/**
 * Enables and starts units, and waits for none of them.
 * @param options.isNews whether an agent that runs has to start anew: a start costs Envoy nothing
 * @throws TrysailError `UNIT_FAILED`
 */
export async function startUnits(
  machine: JoinMachine,
  units: readonly string[],
  { isNews, say }: { readonly isNews: boolean; readonly say: (line: string) => void },
): Promise<void> {
  const restarts = isNews && units.length > 0 && (await isActive(machine, AGENT_UNIT));
  for (const unit of units) {
    const verb = unit === AGENT_UNIT && restarts ? 'restart' : 'start';
    say(`systemctl enable ${unit}; systemctl ${verb} ${unit}`);
    // Not waited for here, so that what is missing can be said meanwhile.
    for (const args of [
      ['enable', unit],
      [verb, '--no-block', unit],
    ]) {
      const { code, err } = await machine.run('systemctl', args);
      if (code === 0) continue;
      throw new TrysailError('UNIT_FAILED', `systemctl ${args.join(' ')} failed: ${err.trim()}`, {
        remedy: `See "systemctl status ${unit}" and "journalctl -u ${unit}".`,
      });
    }
  }
}
