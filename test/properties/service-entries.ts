/** Services from files at random: ServiceEntry of every resolution, WorkloadEntry. Valid but for a few. */
import * as fc from 'fast-check';
import { some } from '../traffic/odd-routes.ts';
import { aHost, aLocality, aPort, aSelector, exportTo, someLabels } from './words.ts';

const PROTOCOL_NAMES = ['HTTP', 'http2', 'GRPC', 'HTTPS', 'TLS', 'TCP', 'MONGO', undefined] as const;
const ADDRESSES = ['10.9.0.1', '10.9.0.2', '10.9.0.0/16', '240.240.1.1', 'fd00::1', 'fd00::/8'] as const;

const ports = fc.uniqueArray(
  fc.record({ number: aPort, protocol: fc.constantFrom(...PROTOCOL_NAMES), target: fc.boolean() }),
  { selector: ({ number }) => number, minLength: 1, maxLength: 3 },
);
type Ports = typeof ports extends fc.Arbitrary<infer T> ? T : never;

function written(given: Ports, names: readonly string[]): readonly object[] {
  return given.map(({ number, protocol, target }) => ({
    number,
    name: `p${number}`,
    ...(names.length > 0 ? { protocol: protocol !== undefined && names.includes(protocol) ? protocol : names[0] } : {}),
    ...(names.length === 0 && protocol !== undefined && { protocol }),
    ...(names.length === 0 && target && { targetPort: 8080 }),
  }));
}

const workload = some({
  labels: someLabels,
  serviceAccount: fc.constantFrom('a', 'b'),
  locality: aLocality,
  weight: fc.constantFrom(0, 1, 7),
  network: fc.constant('net'),
});

function endpoints(...addresses: readonly string[]): fc.Arbitrary<readonly object[]> {
  const one = fc.tuple(fc.constantFrom(...addresses), workload).map(([address, rest]) => ({ address, ...rest }));
  return fc.uniqueArray(one, { selector: ({ address }) => address, maxLength: 4 });
}

const hosts = fc.uniqueArray(aHost, { minLength: 1, maxLength: 2 });
const wildcards = fc.subarray(['*.example.com', '*.shop.mesh'], { minLength: 1 });
const names = fc.uniqueArray(
  aHost.filter((host) => !host.startsWith('*')),
  { minLength: 1, maxLength: 2 },
);
const addresses = fc.uniqueArray(fc.constantFrom(...ADDRESSES), { maxLength: 2 });
const single = fc.uniqueArray(fc.constantFrom('10.9.0.1', '240.240.1.1', 'fd00::1'), { maxLength: 2 });
const common = some({
  location: fc.constantFrom('MESH_INTERNAL', 'MESH_INTERNAL', 'MESH_EXTERNAL'),
  exportTo,
  subjectAltNames: fc.constant(['spiffe://cluster.local/ns/default/sa/a']),
});

function entry(
  resolution: string,
  given: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  protocols: readonly string[] = [],
): fc.Arbitrary<object> {
  return fc
    .tuple(common, ports, fc.record(given))
    .map(([rest, all, own]) => ({ resolution, ports: written(all, protocols), ...rest, ...own }));
}

const selected = fc.record({ labels: aSelector });

/** `spec` of a ServiceEntry. */
export const serviceEntry: fc.Arbitrary<object> = fc.oneof(
  entry('NONE', { hosts, addresses }),
  entry('STATIC', { hosts, addresses, endpoints: endpoints('10.0.0.1', '10.0.0.2', '::1', 'unix:///run/a.sock') }),
  entry('STATIC', { hosts, workloadSelector: selected }),
  entry('DNS', { hosts: names, addresses: single }),
  entry('DNS', { hosts, endpoints: endpoints('one.example.net', '10.0.0.3').filter((all) => all.length > 0) }),
  entry('DNS', { hosts, workloadSelector: selected }),
  entry('DNS_ROUND_ROBIN', { hosts: names }),
  entry('DNS_ROUND_ROBIN', { hosts: names, endpoints: endpoints('one.example.net') }),
  entry('DYNAMIC_DNS', { hosts: wildcards }, ['HTTP', 'TLS', 'GRPC']),
);

/** `spec` of a WorkloadEntry. */
export const workloadEntry: fc.Arbitrary<object> = fc
  .tuple(fc.constantFrom('10.0.0.7', '10.0.0.8', 'vm.example.net', 'unix:///run/vm.sock'), workload, aSelector)
  .map(([address, rest, labels]) => ({ address, ...rest, labels }));
