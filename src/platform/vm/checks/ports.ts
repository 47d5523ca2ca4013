/** The ports that Envoy needs: whether they are of this host, free or ours, allowed, and out of the kernel's own use. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { accountOf } from './accounts.ts';
import {
  type CheckContext,
  finding,
  type HostCheck,
  type HostIo,
  type Listener,
  type NeededPort,
} from './host-check.ts';
import { count, describeListener, formatAddress, listenersAt } from './listening.ts';
import { ENVOY_UNIT, unitsOf } from './units.ts';

const CAP_NET_BIND_SERVICE = 10n;
const EPHEMERAL = '/proc/sys/net/ipv4/ip_local_port_range';
const RESERVED = '/proc/sys/net/ipv4/ip_local_reserved_ports';
const UNPRIVILEGED = '/proc/sys/net/ipv4/ip_unprivileged_port_start';

/** Whether a list such as `80,15000-15100` has a port. */
export function inPortList(list: string, port: number): boolean {
  return list.split(',').some((part) => {
    const [first = Number.NaN, last = first] = part.trim().split('-').map(Number);
    return port >= first && port <= last;
  });
}

/** Whether the process of a /proc/…/status may open ports below the unprivileged ones. */
function mayBind(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/im.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_NET_BIND_SERVICE) & 1n) === 1n;
}

/** Whether Envoy may open privileged ports: as the unit says, else as the running Envoy or this process may. */
async function envoyMayBind({ io, needs }: CheckContext): Promise<boolean> {
  const unit = (await unitsOf(io, [ENVOY_UNIT], ['User', 'AmbientCapabilities']))?.get(ENVOY_UNIT);
  if (unit !== undefined)
    return (unit['User'] ?? '') === '' || (unit['AmbientCapabilities'] ?? '').includes('cap_net_bind_service');
  return mayBind((await io.read(`/proc/${needs.envoyPids[0] ?? 'self'}/status`)) ?? '');
}

async function privileged(context: CheckContext): Promise<readonly Diagnostic[]> {
  const start = Number((await context.io.read(UNPRIVILEGED)) ?? '1024');
  const low = context.needs.ports.filter(({ port }) => port < start);
  if (low.length === 0 || (await envoyMayBind(context))) return [];
  return low.map((needed) =>
    finding(
      'TRY1101',
      'error',
      needed.object,
      `${formatAddress(needed)} is a privileged port (below ${start}), and Envoy lacks CAP_NET_BIND_SERVICE`,
      `Set AmbientCapabilities=CAP_NET_BIND_SERVICE in ${ENVOY_UNIT} (systemctl edit), or choose a port from ${start} on.`,
    ),
  );
}

async function ephemeral(io: HostIo, ports: readonly NeededPort[]): Promise<readonly Diagnostic[]> {
  const [first = 0, last = 0] = ((await io.read(EPHEMERAL)) ?? '').trim().split(/\s+/).map(Number);
  const reserved = ((await io.read(RESERVED)) ?? '').trim();
  const clash = ports.filter(({ port }) => port >= first && port <= last && !inPortList(reserved, port));
  if (clash.length === 0) return [];
  const numbers = [...new Set(clash.map(({ port }) => port))].toSorted((a, b) => a - b);
  return [
    finding(
      'TRY1102',
      'warning',
      clash.map(({ object }) => object).join(', '),
      `the kernel takes ports ${first}–${last} for outgoing connections, so that ${numbers.join(', ')} may be taken when Envoy wants to listen`,
      `Run: sysctl -w net.ipv4.ip_local_reserved_ports=${[...(reserved === '' ? [] : [reserved]), ...numbers].join(',')} (and keep it in /etc/sysctl.d).`,
    ),
  ];
}

function occupied(
  needed: NeededPort,
  listeners: readonly Listener[],
  isOurs: (l: Listener) => boolean,
): Diagnostic | undefined {
  const at = listenersAt(listeners, needed);
  const other = at.find((listener) => !isOurs(listener));
  if (other === undefined) return undefined;
  const where = formatAddress(needed);
  if (at.some(isOurs))
    return finding(
      'TRY1103',
      'error',
      needed.object,
      `${where} is shared by Envoy and ${describeListener(other)} (SO_REUSEPORT): each gets a part of the connections`,
      'Stop the other program, or choose another port in agent.yaml.',
    );
  return finding(
    'TRY0103',
    'error',
    needed.object,
    `${where} is in use by ${describeListener(other)}`,
    'Free the port, or choose another in agent.yaml. An application behind Envoy listens on 127.0.0.1 alone.',
  );
}

export const PORTS_CHECK: HostCheck = {
  name: 'ports',
  needsConfiguration: true,
  async run(context) {
    const { io, needs } = context;
    if (needs.ports.length === 0) return { facts: [], findings: [], skipped: 'agent.yaml needs no port' };
    const [tcp, udp, proxyUser] = await Promise.all([
      io.listeners('tcp'),
      io.listeners('udp'),
      accountOf(io, 'trysail-envoy'),
    ]);
    // Of a process that is hidden from us, the user is known.
    const isOurs = ({ pid, uid }: Listener): boolean =>
      pid === undefined ? uid === proxyUser?.uid : needs.envoyPids.includes(pid);
    const own = new Set([...io.addresses(), '0.0.0.0', '::']);
    const shown = io.addresses().filter((each) => !each.startsWith('fe80'));
    const elsewhere = needs.ports.filter(({ address }) => !own.has(address) && !address.startsWith('127.'));
    const taken = needs.ports.flatMap(
      (needed) => occupied(needed, needed.protocol === 'tcp' ? tcp : udp, isOurs) ?? [],
    );
    const findings = [
      ...taken,
      ...[...new Set(elsewhere.map(({ address }) => address))].map((address) =>
        finding(
          'TRY1104',
          'error',
          elsewhere
            .filter((each) => each.address === address)
            .map(({ object }) => object)
            .join(', '),
          `${address} is not an address of this host, so that Envoy cannot listen there`,
          `Set host.address, or the address of the listener, to one of this host's: ${shown.join(', ')}.`,
        ),
      ),
      ...(await privileged(context)),
      ...(await ephemeral(io, needs.ports)),
    ];
    const good = needs.ports.length - taken.length;
    const list = [...new Set(needs.ports.map(({ port }) => port))].toSorted((a, b) => a - b).join(', ');
    return { facts: [`${good} of ${count(needs.ports.length, 'port')} free or ours (${list})`], findings };
  },
};
