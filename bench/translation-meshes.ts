/** Meshes of a thousand services, each as another kind of host meets it, and the rules in them that change. */
import type { Host } from '../src/model/host.ts';
import { type SpiffeId, workloadSpiffeId } from '../src/model/spiffe-id.ts';
import type { CatalogueInstance } from '../src/sources/catalogue-state.ts';
import type { ResourceFile } from '../src/sources/resource-reader.ts';

export const SERVICES = 1000;
export const ENDPOINTS = 20;

export const nameOf = (i: number): string => `s${i}`;

/** One host in one mesh. */
export interface BenchMesh {
  /** In the names of figures; the first has none. */
  readonly name: string;
  readonly host: Host;
  /** The rules of service `i`; `percent` is what changes. */
  readonly rules: (i: number, percent: number) => string;
  /** Rules that are nobody's in particular. */
  readonly common?: readonly ResourceFile[];
}

/** What each service's VirtualService says; `destination` is what it leads to. */
function routes(host: string, percent: number): string {
  return `  http:
  - match: [{uri: {prefix: /api/}, headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: ${host}, subset: v2}}]
    timeout: 2s
    retries: {attempts: 3, perTryTimeout: 500ms, retryOn: "5xx,connect-failure"}
  - match: [{uri: {exact: /health}}, {method: {exact: OPTIONS}}]
    route: [{destination: {host: ${host}, subset: v1}}]
  - route:
    - {destination: {host: ${host}, subset: v1}, weight: ${100 - percent}}
    - {destination: {host: ${host}, subset: v2}, weight: ${percent}}
`;
}

function virtualService(i: number, percent: number): string {
  const host = nameOf(i);
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host}, namespace: default}
spec:
  hosts: [${host}]
${routes(host, percent)}`;
}

function destinationRule(i: number): string {
  const host = nameOf(i);
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}, namespace: default}
spec:
  host: ${host}
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 50}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
`;
}

const ofService = (i: number, percent: number): string => `${virtualService(i, percent)}---\n${destinationRule(i)}`;

/** A service outside, which captured calls find by its Host, and how it is called. */
function outside(i: number, percent: number): string {
  const host = `x${i}.example.com`;
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: x${i}, namespace: default}
spec:
  hosts: [${host}]
  location: MESH_EXTERNAL
  resolution: DNS
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 443, name: tls, protocol: TLS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: x${i}, namespace: default}
spec:
  hosts: [${host}]
  http:
  - match: [{uri: {prefix: /api/}}]
    timeout: ${percent}s
    route: [{destination: {host: ${host}}}]
  - route: [{destination: {host: ${host}}}]
`;
}

function bound(i: number, percent: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${nameOf(i)}, namespace: default}
spec:
  hosts: [${nameOf(i)}.example.com]
  gateways: [public]
${routes(nameOf(i), percent)}---
${destinationRule(i)}`;
}

const GATEWAY: ResourceFile = {
  file: 'gateway.yaml',
  text: `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: default}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*.example.com"]}
`,
};

const SIDECAR: ResourceFile = {
  file: 'sidecar.yaml',
  text: `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: default}
spec:
  egress:
  - hosts: ["./*", "outside/*"]
`,
};

/** A service that configuration describes, at an address. */
export function entryFile(address: string): ResourceFile {
  return {
    file: 'entry.yaml',
    text: `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: described, namespace: default}
spec:
  hosts: [described.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: http, protocol: HTTP}]
  endpoints: [{address: ${address}}]
`,
  };
}

/** The record of the first service. */
export function recordFile(port: number): ResourceFile {
  return {
    file: 'record.yaml',
    text: `apiVersion: trysail.dev/v1
kind: Service
metadata: {name: ${nameOf(0)}, namespace: default}
spec:
  ports: [{number: ${port}, name: http, protocol: HTTP}]
`,
  };
}

export function instances(i: number, weight: number): readonly CatalogueInstance[] {
  return Array.from({ length: ENDPOINTS }, (_, n) => ({
    id: `n${n}/${nameOf(i)}`,
    node: `n${n}`,
    address: `10.${Math.floor(i / 250)}.${i % 250}.${n + 1}`,
    port: 9080,
    status: 'passing',
    tags: [],
    meta: { version: n % 2 === 0 ? 'v1' : 'v2', 'trysail-tls': 'mtls' },
    weights: { passing: n === 0 ? weight : 1, warning: 1 },
    datacenter: 'dc1',
  }));
}

function identity(namespace: string, serviceAccount: string): SpiffeId | undefined {
  return workloadSpiffeId({ trustDomain: 'cluster.local', namespace, serviceAccount });
}

const HOST: Host = {
  nodeId: 'bench',
  nodeCluster: 'bench',
  locality: { region: 'eu', zone: 'a', subzone: '' },
  workloads: [],
  upstreams: [],
  callerIdentity: identity('default', 'web'),
  healthListener: { address: '127.0.0.1', port: 15_021 },
};

const upstreams: Host['upstreams'] = Array.from({ length: SERVICES }, (_, i) => ({
  serviceHost: `${nameOf(i)}.default.mesh`,
  servicePort: undefined,
  listen: { address: '127.0.0.1', port: 20_000 + i },
}));

const namedUpstreams: NonNullable<Host['namedUpstreams']> = Array.from({ length: SERVICES }, (_, i) => ({
  serviceHost: `${nameOf(i)}.default.mesh`,
  addresses: [`240.240.${Math.floor(i / 250)}.${(i % 250) + 1}`],
}));

/** Of one namespace and of another, whose callers have names for the same services. */
const CALLERS: NonNullable<Host['callers']> = [
  { identity: identity('default', 'web'), namespace: 'default', capturePort: 15_001 },
  { identity: identity('payments', 'orders'), namespace: 'payments', capturePort: 15_101 },
];

export const MESHES: readonly BenchMesh[] = [
  { name: '', host: { ...HOST, upstreams }, rules: ofService },
  { name: 'sidecar', host: { ...HOST, upstreams }, rules: ofService, common: [SIDECAR] },
  {
    name: 'captured',
    host: { ...HOST, namedUpstreams, callers: CALLERS.slice(0, 1) },
    rules: ofService,
  },
  { name: 'identities', host: { ...HOST, namedUpstreams, callers: CALLERS }, rules: ofService },
  {
    name: 'egress',
    host: { ...HOST, namedUpstreams, callers: CALLERS.slice(0, 1) },
    rules: (i, percent) => `${outside(i, percent)}---\n${destinationRule(i)}`,
  },
  {
    name: 'gateway',
    host: {
      ...HOST,
      gateways: [
        {
          namespace: 'default',
          name: 'public',
          serviceHost: 'public.default.mesh',
          labels: { app: 'gateway' },
          identity: identity('default', 'web'),
          address: '0.0.0.0',
        },
      ],
    },
    rules: bound,
    common: [GATEWAY],
  },
];
