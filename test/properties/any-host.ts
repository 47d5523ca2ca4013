/** Hosts of all forms at random: loopback upstreams, services by name, captured callers, workloads, gateways. */
import * as fc from 'fast-check';
import type { Caller, GatewayRole, Host, NamedUpstream, Upstream, Workload } from '../../src/model/host.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { some } from '../traffic/odd-routes.ts';
import { host, spiffe } from '../translate/mesh-literals.ts';
import { aHost, aNamespace, aPort, HOSTS, PROTOCOLS } from './words.ts';

const identity = fc.constantFrom<SpiffeId>(spiffe('a'), spiffe('b'), spiffe('c', 'shop'));
const mode = fc.constantFrom('off', 'observe', 'outbound', 'full');

const upstreams: fc.Arbitrary<readonly Upstream[]> = fc
  .array(
    fc.tuple(
      aHost,
      fc.option(aPort, { nil: undefined }),
      fc.boolean(),
      some({ caller: identity, mode: fc.constantFrom('observe', 'full') }),
    ),
    { maxLength: 5 },
  )
  .map((all) =>
    all.map(([serviceHost, servicePort, isSocket, rest], i) => ({
      serviceHost,
      servicePort,
      listen: isSocket ? { path: `/run/u${i}.sock` } : { address: '127.0.0.1', port: 20_000 + i },
      ...rest,
    })),
  );

const callers: fc.Arbitrary<readonly Caller[]> = fc
  .array(fc.tuple(fc.option(identity, { nil: undefined }), aNamespace, some({ everywhere: fc.boolean(), mode })), {
    maxLength: 3,
  })
  .map((all) =>
    all.map(([who, namespace, rest], i) => ({ identity: who, namespace, capturePort: 15_001 + 100 * i, ...rest })),
  );

const namedUpstreams: fc.Arbitrary<readonly NamedUpstream[]> = fc
  .tuple(
    fc.subarray(HOSTS.filter((name) => !name.startsWith('*'))),
    fc.constantFrom('240.240.0', '127.240.0'),
    fc.boolean(),
  )
  .chain(([hosts, prefix, isDual]) =>
    fc.tuple(
      ...hosts.map((serviceHost, i) =>
        some({ isFresh: fc.boolean(), isLeaving: fc.boolean(), mode: fc.constantFrom('observe', 'full') }).map(
          (rest) => ({
            serviceHost,
            addresses: [`${prefix}.${i + 1}`, ...(isDual ? [`2001:2::${i + 1}`] : [])],
            ...rest,
          }),
        ),
      ),
    ),
  );

const workloads: fc.Arbitrary<readonly Workload[]> = fc
  .uniqueArray(
    fc.record({
      name: fc.constantFrom('a', 'b'),
      protocol: fc.constantFrom(...PROTOCOLS),
      capture: fc.constantFrom(undefined, 'redirect', 'tproxy'),
      hasInbound: fc.boolean(),
      rest: some({ mode }),
    }),
    { selector: ({ name }) => name, maxLength: 2 },
  )
  .map((all) =>
    all.map(({ name, protocol, capture, hasInbound, rest }, i) => ({
      namespace: 'default',
      service: name,
      serviceHost: `${name}.default.mesh`,
      identity: spiffe(name),
      labels: { app: name, version: 'v1' },
      inbound: hasInbound
        ? {
            listen: { address: '10.0.0.5', port: 9080 + i },
            protocol,
            application: { address: '127.0.0.1', port: 8080 + i },
            ...(capture !== undefined && { capture }),
          }
        : undefined,
      ...rest,
    })),
  );

const gateways: fc.Arbitrary<readonly GatewayRole[]> = fc
  .array(
    fc.tuple(
      fc.constantFrom('ingress', 'egress'),
      fc.constantFrom('default', 'shop'),
      fc.option(identity, { nil: undefined }),
      fc.constantFrom('0.0.0.0', '10.0.0.5', '::'),
      some({
        ports: fc.constant({ 80: 8080, 443: 8443 }),
        trustedHops: fc.constantFrom(0, 2),
        proxyProtocol: fc.boolean(),
        serviceHost: fc.constantFrom('a.default.mesh', 'b.default.mesh'),
        registered: fc.constant({ address: '10.0.0.5', port: 443 }),
      }),
    ),
    { maxLength: 2 },
  )
  .map((all) =>
    all.map(([istio, namespace, who, address, rest], i) => ({
      namespace,
      name: `g${i}`,
      serviceHost: `g${i}.${namespace}.mesh`,
      labels: { istio },
      identity: who,
      address,
      ...rest,
    })),
  );

const others = some({
  dns: fc.constantFrom(
    { listen: { address: '127.0.0.1', port: 15_053 } },
    { listen: { address: '127.0.0.1', port: 15_053 }, learner: { address: '127.0.0.1', port: 15_054 } },
  ),
  proxy: fc.constant({ listen: { address: '127.0.0.1', port: 15_002 }, gate: { path: '/run/gate.sock' } }),
  withoutIpv6: fc.boolean(),
  withoutCertificates: fc.boolean(),
  systemRootsFile: fc.constant('/etc/pki/roots.pem'),
  locality: fc.constantFrom({ region: 'eu', zone: 'a', subzone: '1' }, { region: 'us', zone: '', subzone: '' }),
});

export const anyHost: fc.Arbitrary<Host> = fc
  .tuple(
    fc.record({ callerIdentity: fc.option(identity, { nil: undefined }), upstreams, workloads }),
    some({ namedUpstreams, callers }),
    some({ gateways }),
    others,
  )
  .map(([own, named, roles, rest]) =>
    host({
      ...own,
      ...named,
      ...roles,
      ...rest,
      credentialsFolder: '/etc/trysail/credentials',
      ...(own.workloads.some(({ inbound }) => inbound?.capture !== undefined) && { inboundCapturePort: 15_006 }),
    }),
  );

/** Whose certificates its Envoy needs. */
export function identitiesOf({
  callerIdentity,
  workloads: own,
  upstreams: called,
  callers: captured = [],
  gateways: roles = [],
}: Host): readonly SpiffeId[] {
  const all = [
    callerIdentity,
    ...own.map((one) => one.identity),
    ...called.map((one) => one.caller),
    ...captured.map((one) => one.identity),
    ...roles.map((one) => one.identity),
  ];
  return [...new Set(all.filter((one) => one !== undefined))];
}
