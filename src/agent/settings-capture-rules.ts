/** What settings must satisfy together where modes, capture and names are concerned. */
import { isIP } from 'node:net';
import { parseAddressRange } from '../lib/address-range.ts';
import type { Path } from '../lib/yaml-document.ts';
import { isLoopback } from './address-forms.ts';
import { callerKey } from './callers.ts';
import type { AgentSettings } from './settings.ts';
import { isProxied } from './settings-complete.ts';
import { formatSocketAddress } from './settings-listeners.ts';
import { type Complaint, RULE } from './settings-place.ts';
import type { WrittenSettings } from './settings-schema.ts';

const SSH_PORT = 22;

const complaint = (path: Path, message: string, remedy: string): Complaint => ({ code: RULE, path, message, remedy });

/** Complaints of applications that peers are to dial and cannot. */
export function modeComplaints({ host, services }: AgentSettings): readonly Complaint[] {
  return services.flatMap(({ name, mode, inbound }, i): Complaint[] => {
    if (inbound === undefined || isProxied(mode)) return [];
    const { application } = inbound;
    // Hosts on loopback addresses are for trying things out on one machine.
    if (!isLoopback(application.address) || application.address === host.address) return [];
    return [
      complaint(
        ['services', i, 'application'],
        `in mode ${mode} peers dial the application of service ${name} itself, and ${formatSocketAddress(application)} is a loopback address`,
        `Let it listen on ${host.address} and write that, or choose mode observe or full.`,
      ),
    ];
  });
}

/** Complaints of what is captured and cannot be. */
export function captureComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  const { services, capture } = settings;
  const complaints: Complaint[] = [];
  const complain = (path: Path, message: string, remedy: string): number =>
    complaints.push(complaint(path, message, remedy));
  const captured = new Map<number, string>();
  const callers = new Map<string, { readonly name: string; readonly account: string; readonly mode: string }>();
  for (const [i, { name, namespace, serviceAccount, mode, inbound, caller }] of services.entries()) {
    const { unit, user, capture: how, port } = written.services[i] ?? {};
    if (unit !== undefined && user !== undefined)
      complain(
        ['services', i, 'user'],
        `service ${name} has a unit and a user, and one of them says whose calls are its own`,
        'Remove one: the unit is the narrower.',
      );
    if (how !== undefined && how !== 'none' && port === undefined)
      complain(
        ['services', i, 'capture'],
        `service ${name} has no port that could be captured`,
        'Add port, or remove capture.',
      );
    if (inbound?.capture !== undefined) {
      const at = formatSocketAddress(inbound.application);
      const other = captured.get(inbound.port);
      captured.set(inbound.port, name);
      if (inbound.port === SSH_PORT)
        complain(['services', i, 'capture'], 'port 22 is never captured: it is how you get back in', 'Remove capture.');
      else if (other !== undefined)
        complain(
          ['services', i, 'port'],
          `port ${inbound.port} is captured for service ${other} already`,
          'Give each captured service a port of its own.',
        );
      else if (inbound.application.port !== inbound.port)
        complain(
          ['services', i, 'application'],
          `the port of service ${name} is captured, so that its application listens on ${inbound.port} itself and not at ${at}`,
          'Remove application, or capture.',
        );
      else if (
        inbound.capture === 'tproxy' &&
        isLoopback(inbound.application.address) &&
        inbound.application.address !== settings.host.address
      )
        complain(
          ['services', i, 'application'],
          `with tproxy connections keep the address of their caller, and from there ${at} cannot be reached`,
          'Remove application (the address of the host holds then), or write capture: redirect.',
        );
    }
    if (caller === undefined || mode === 'off') continue;
    const key = callerKey(caller);
    const account = `${namespace}/${serviceAccount}`;
    const earlier = callers.get(key);
    if (earlier === undefined) callers.set(key, { name, account, mode });
    else if (earlier.account !== account || earlier.mode !== mode)
      complain(
        ['services', i, 'unit' in caller ? 'unit' : 'user'],
        `${key.replace(':', ' ')} would call as ${account} in mode ${mode}, and for service ${earlier.name} as ${earlier.account} in mode ${earlier.mode}`,
        'Run the services as different units, or give them one serviceAccount and one mode.',
      );
  }
  if (capture.outbound === 'listed' && services.every(({ caller }) => caller === undefined))
    complain(
      ['capture', 'outbound'],
      'no service has a unit or a user whose calls could be captured',
      'Add unit or user to services, or capture the calls of the whole host.',
    );
  return complaints;
}

/** Complaints of services that are called by name. */
export function nameComplaints(settings: AgentSettings): readonly Complaint[] {
  const { upstreams, dns, capture } = settings;
  const complaints: Complaint[] = [];
  const seen = new Map<string, number>();
  for (const [i, { service, port, listen, callAs }] of upstreams.entries()) {
    if (listen !== undefined) continue;
    const name = typeof service === 'string' ? service : `${service.name}.${service.namespace}`;
    const earlier = seen.get(name);
    seen.set(name, i);
    if (earlier !== undefined)
      complaints.push(
        complaint(['upstreams', i], `${name} is called by its name in upstreams[${earlier}] already`, 'Remove one.'),
      );
    if (port !== undefined)
      complaints.push(
        complaint(
          ['upstreams', i, 'port'],
          `${name} is called by its name, on all its ports`,
          'Remove port, or add listen.',
        ),
      );
    if (callAs !== undefined)
      complaints.push(
        complaint(
          ['upstreams', i, 'callAs'],
          `${name} is called by its name, at an address that everybody on this host shares`,
          'Add a listen of its own, or set callAs of the host.',
        ),
      );
    if (!dns.enabled)
      complaints.push({
        ...complaint(
          ['upstreams', i],
          `${name} is to be called by its name, and with dns.enabled: false nobody answers it`,
          'Add listen, or remove dns.enabled.',
        ),
        severity: 'warning',
      });
  }
  if (!isLoopback(dns.listen.address))
    complaints.push(
      complaint(
        ['dns', 'listen'],
        `${formatSocketAddress(dns.listen)} is not a loopback address: other machines could ask for the names of the mesh`,
        `Write 127.0.0.1:${dns.listen.port}.`,
      ),
    );
  if (dns.enabled && !dns.addresses.some((range) => isIP(range.split('/')[0] ?? '') === 4))
    complaints.push(
      complaint(
        ['dns', 'addresses'],
        'there is no range of IPv4: who asks for an IPv4 address would hear that there is no such name',
        'Add one, such as 127.240.0.0/16.',
      ),
    );
  for (const [i, range] of dns.addresses.entries()) {
    const path = ['dns', 'addresses', i];
    const [address = ''] = range.split('/');
    if (!range.includes('/'))
      complaints.push(
        complaint(
          path,
          `${range} is one address, and every service needs its own`,
          'Write a range, such as 127.240.0.0/16.',
        ),
      );
    else if (!isUsableRange(range))
      complaints.push(
        complaint(
          path,
          `${range} has too many addresses, or too few`,
          'Write a prefix of at least 8 bits that leaves 2 or more.',
        ),
      );
    else if (dns.addresses.slice(0, i).some((other) => isIP(other.split('/')[0] ?? '') === isIP(address)))
      complaints.push(
        complaint(path, `${range} is the second range of its family`, 'Keep one of IPv4 and one of IPv6.'),
      );
    else if (dns.enabled && !isLoopback(address) && capture.outbound === 'none')
      complaints.push(
        complaint(
          path,
          `nothing on this host listens at addresses of ${range}, and calls to them are not captured`,
          'Use a range of 127.0.0.0/8, or set capture.outbound.',
        ),
      );
  }
  return complaints;
}

function isUsableRange(range: string): boolean {
  try {
    parseAddressRange(range);
    return true;
  } catch {
    return false;
  }
}
