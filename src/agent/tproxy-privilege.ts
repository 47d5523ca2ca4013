/** Whether Envoy may do what `capture: tproxy` asks of it, and giving it that where systemd runs it. */
import { TrysailError } from '../lib/errors.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import {
  processCanTproxy,
  TPROXY_DROP_IN,
  tproxyCapability,
  writeTproxyDropIn,
} from '../platform/vm/envoy-privileges.ts';
import { sockets } from '../platform/vm/paths.ts';
import { hasUnit, type JoinMachine } from './join-machine.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';

const ENVOY_UNIT = 'trysail-envoy.service';

/** Whether an agent with these settings answers at this socket of the local API. */
export function isServedAt({ paths }: Pick<AgentSettings, 'paths'>, socket: string): boolean {
  return sockets(paths.run).api === socket;
}

/** Whether a service of this host is captured with its callers' addresses. */
export function needsTproxy({ services }: Pick<AgentSettings, 'services'>): boolean {
  return services.some(({ inbound, mode }) => inbound?.capture === 'tproxy' && isProxied(mode));
}

/**
 * Gives Envoy's unit what TPROXY needs, from its next start on, where settings ask for it; as root.
 * @returns the sentence to tell, undefined where nothing was changed
 * @throws the system's error, or `UNIT_FAILED`
 */
export async function grantTproxy(
  machine: JoinMachine,
  settings: Pick<AgentSettings, 'services'>,
): Promise<string | undefined> {
  if (!needsTproxy(settings) || !(await hasUnit(machine, ENVOY_UNIT)) || !(await writeTproxyDropIn())) return undefined;
  const { code, err } = await machine.run('systemctl', ['daemon-reload']);
  if (code !== 0)
    throw new TrysailError('UNIT_FAILED', `systemctl daemon-reload failed: ${err.trim()}`, {
      remedy: 'Run it again, then: systemctl restart trysail-envoy',
    });
  return `${TPROXY_DROP_IN} gives ${ENVOY_UNIT} ${tproxyCapability()}, for capture: tproxy.`;
}

/** What `trysail status` says where the Envoy that runs may not do it. */
export function tproxyDiagnostics(
  settings: Pick<AgentSettings, 'services'>,
  envoyPid: number | undefined,
): readonly Diagnostic[] {
  if (envoyPid === undefined || !needsTproxy(settings) || processCanTproxy(envoyPid)) return [];
  return [
    {
      code: 'TRY1174',
      severity: 'error',
      object: 'capture',
      message: `a service has capture: tproxy, and Envoy lacks ${tproxyCapability()}, without which it takes no inbound connections that are captured`,
      remedy: `As root, run "trysail capture apply", which gives it to the unit; then: systemctl restart ${ENVOY_UNIT}`,
    },
  ];
}

/**
 * Why captured connections have no listener, where that is a privilege; gives it to the unit on the way, as root.
 * @param envoyPid of the Envoy that runs
 */
export async function tproxyRefusal(
  machine: JoinMachine,
  settings: Pick<AgentSettings, 'services'>,
  envoyPid: number | undefined,
): Promise<TrysailError | undefined> {
  if (envoyPid === undefined || !needsTproxy(settings) || processCanTproxy(envoyPid)) return undefined;
  const message = `a service of agent.yaml has capture: tproxy, and Envoy lacks ${tproxyCapability()}`;
  const code = 'CAPTURE_UNPRIVILEGED';
  if (!(await hasUnit(machine, ENVOY_UNIT)))
    return new TrysailError(code, message, { remedy: 'Give it that where you start the agent, or use redirect.' });
  if (machine.uid !== 0)
    return new TrysailError(code, message, { remedy: 'Run this as root: it gives that to the unit.' });
  await grantTproxy(machine, settings);
  return new TrysailError(code, `${message}; its unit has it from now on (${TPROXY_DROP_IN})`, {
    remedy: `Run: systemctl restart ${ENVOY_UNIT} (its connections end), then this again.`,
  });
}
