/** What capture with `tproxy` needs Envoy to be allowed, and that nothing else is. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { canTproxy, TPROXY_DROP_IN, tproxyCapability } from '../envoy-privileges.ts';
import { type CheckContext, finding } from './host-check.ts';
import { ENVOY_UNIT, unitsOf } from './units.ts';

/** Judges the unit, and the Envoy that runs; without such a unit whoever starts Envoy is in charge. */
export async function envoyPrivileges({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  const properties = ['User', 'AmbientCapabilities', 'DropInPaths'];
  const unit = (await unitsOf(io, [ENVOY_UNIT], properties))?.get(ENVOY_UNIT);
  if (unit === undefined || !needs.known) return [];
  const kernel = ((await io.read('/proc/sys/kernel/osrelease')) ?? '').trim();
  const capability = tproxyCapability(kernel);
  if (!needs.capture.tproxy) {
    if (!(unit['DropInPaths'] ?? '').split(' ').includes(TPROXY_DROP_IN)) return [];
    return [
      finding(
        'TRY1174',
        'info',
        ENVOY_UNIT,
        `${TPROXY_DROP_IN} gives it ${capability}, and nothing of agent.yaml needs that any more`,
        `Run: rm ${TPROXY_DROP_IN}; systemctl daemon-reload; with the next restart of Envoy it is gone.`,
      ),
    ];
  }
  const given = (unit['AmbientCapabilities'] ?? '').toUpperCase().split(' ');
  const isGiven = (unit['User'] ?? '') === '' || given.includes(capability) || given.includes('CAP_NET_ADMIN');
  if (!isGiven)
    return [
      finding(
        'TRY1174',
        'error',
        ENVOY_UNIT,
        `agent.yaml has a service with capture: tproxy, and Envoy lacks ${capability}: nothing inbound is captured`,
        'As root, run "trysail capture apply", which gives it to the unit; then: systemctl restart trysail-envoy',
      ),
    ];
  const [pid] = needs.envoyPids;
  if (pid === undefined || canTproxy((await io.read(`/proc/${pid}/status`)) ?? '', kernel)) return [];
  return [
    finding(
      'TRY1174',
      'error',
      `Envoy (pid ${pid})`,
      `its unit gives it ${capability} for capture: tproxy, and it was started before that: nothing inbound is captured`,
      'Run: systemctl daemon-reload; systemctl restart trysail-envoy (its connections end)',
    ),
  ];
}
