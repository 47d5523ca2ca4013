/** What of a ServiceEntry its schema cannot say. */
import { hostProblem, isIpAddress, isSocketAddress } from '../field-types.ts';
import type { Report } from './kind.ts';
import type { ServiceEntry } from './service-entry.ts';

function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

function checkHosts({ hosts, resolution, endpoints, workloadSelector }: ServiceEntry, report: Report): void {
  if (hosts.length === 0) report(['hosts'], 'is empty', 'Name the service.');
  // Without endpoints the name itself is resolved.
  const resolved = resolution === 'STRICT_DNS' || resolution === 'LOGICAL_DNS';
  const isAddress = resolved && endpoints.length === 0 && workloadSelector === undefined;
  for (const [i, name] of hosts.entries()) {
    if (name === '*') report(['hosts', i], '"*" is not allowed', 'Name the service.');
    else if (hosts.indexOf(name) < i) report(['hosts', i], `"${name}" stands here twice`, 'Keep one.');
    else if (isAddress && isWildcard(name))
      report(['hosts', i], `"${name}" cannot be resolved`, 'Use resolution: DYNAMIC_DNS or NONE, or add "endpoints".');
    else if (resolution === 'DYNAMIC_DNS' && !isWildcard(name))
      report(['hosts', i], 'resolution: DYNAMIC_DNS takes wildcards alone', 'Use resolution: DNS, or write *.name.');
  }
}

/** An address, or a range of them with its length in bits. */
function addressForm(text: string): 'neither' | 'range' | 'address' {
  const [address = '', bits, ...rest] = text.split('/');
  if (!isIpAddress(address) || rest.length > 0) return 'neither';
  if (bits === undefined) return 'address';
  const most = address.includes(':') ? 128 : 32;
  return /^\d{1,3}$/.test(bits) && Number(bits) <= most ? 'range' : 'neither';
}

function checkAddresses({ addresses, resolution }: ServiceEntry, report: Report): void {
  if (resolution === 'DYNAMIC_DNS' && addresses.length > 0)
    report(['addresses'], 'resolution: DYNAMIC_DNS takes none', 'Remove them.');
  for (const [i, address] of addresses.entries()) {
    const form = addressForm(address);
    if (form === 'neither')
      report(['addresses', i], `"${address}" is neither an IP address nor a CIDR range`, 'Correct it.');
    else if (form === 'range' && resolution !== 'EDS' && resolution !== 'ORIGINAL_DST')
      report(['addresses', i], 'is a range, which resolutions NONE and STATIC alone take', 'Write single addresses.');
  }
}

function checkPorts({ ports, resolution, hosts, addresses, external }: ServiceEntry, report: Report): void {
  if (ports.length === 0) report(['ports'], 'there are no ports', 'Add "ports" with at least one number.');
  for (const [i, { number, name, protocol, targetPort }] of ports.entries()) {
    if (ports.findIndex((other) => other.number === number) < i)
      report(['ports', i, 'number'], `port ${number} stands here twice`, 'Keep one.');
    if (ports.findIndex((other) => other.name === name) < i)
      report(['ports', i, 'name'], `the name "${name}" stands here twice`, 'Rename one.');
    if (resolution === 'DYNAMIC_DNS') {
      if (protocol === 'TCP' || protocol === 'AUTO')
        report(
          ['ports', i, ...(protocol === 'TCP' ? ['protocol'] : [])],
          'resolution: DYNAMIC_DNS needs requests or TLS that name the host',
          'Set "protocol" to HTTP, HTTP2, GRPC or TLS.',
        );
      if (targetPort !== number)
        report(['ports', i, 'targetPort'], 'resolution: DYNAMIC_DNS calls the port itself', 'Remove it.');
    }
    if (external && (protocol === 'TCP' || protocol === 'AUTO') && addresses.length === 0 && hosts.length > 1)
      report(
        ['ports', i],
        `the hosts cannot be told apart on port ${number}, which has no protocol that names them`,
        'Write a ServiceEntry for each host, with "addresses".',
        { code: 'IST0134', severity: 'warning' },
      );
  }
}

function checkEndpoints(entry: ServiceEntry, report: Report): void {
  const { resolution, endpoints, workloadSelector, ports } = entry;
  if (endpoints.length > 0 && workloadSelector !== undefined)
    report(['workloadSelector'], 'excludes "endpoints"', 'Keep one of the two.');
  if (workloadSelector !== undefined && Object.keys(workloadSelector).length === 0)
    report(['workloadSelector'], 'selects nothing', 'Add "labels".');
  const none = resolution === 'ORIGINAL_DST' ? 'NONE' : resolution === 'DYNAMIC_DNS' ? 'DYNAMIC_DNS' : undefined;
  for (const field of ['endpoints', 'workloadSelector'] as const)
    if (none !== undefined && (field === 'endpoints' ? endpoints.length > 0 : workloadSelector !== undefined))
      report([field], `resolution: ${none} has no endpoints`, 'Use resolution: STATIC or DNS, or remove it.');
  if (resolution === 'LOGICAL_DNS' && endpoints.length > 1)
    report(['endpoints'], 'DNS_ROUND_ROBIN takes one endpoint at most', 'Use DNS, or keep one endpoint.');
  const names = ports.map(({ name }) => name);
  for (const [i, { address, ports: own }] of endpoints.entries()) {
    // What is no name either has been said already.
    if (
      resolution === 'EDS' &&
      !isIpAddress(address) &&
      !isSocketAddress(address) &&
      hostProblem(address) === undefined
    )
      report(['endpoints', i, 'address'], `"${address}" is not an IP address`, 'Use resolution: DNS for names.');
    if (isSocketAddress(address) && resolution !== 'EDS')
      report(['endpoints', i, 'address'], 'a Unix socket is not resolved by DNS', 'Use resolution: STATIC.');
    for (const name of Object.keys(own))
      if (!names.includes(name))
        report(['endpoints', i, 'ports', name], `"${name}" is not a port here`, `Use one of: ${names.join(', ')}.`);
  }
}

/** Reports every rule that an entry breaks. */
export function checkServiceEntry(entry: ServiceEntry, report: Report): void {
  checkHosts(entry, report);
  checkPorts(entry, report);
  checkAddresses(entry, report);
  checkEndpoints(entry, report);
}
