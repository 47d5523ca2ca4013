/** A golden case: Istio YAML and a host in, Envoy resources out. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import * as z from 'zod/mini';
import type { Host, SocketAddress, Upstream, Workload } from '../../src/model/host.ts';
import { canonicalHost, DEFAULT_NAMESPACE } from '../../src/model/host-names.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../../src/model/mesh-config.ts';
import type { Locality, Protocol } from '../../src/model/service.ts';
import { type SpiffeId, workloadSpiffeId } from '../../src/model/spiffe-id.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { resourcesJson } from '../translate/json-resources.ts';

const KINDS = ['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration'] as const;
const PROTOCOLS = ['HTTP', 'HTTP2', 'GRPC', 'HTTPS', 'TLS', 'TCP', 'AUTO'] as const satisfies readonly Protocol[];

const hostFile = z.strictObject({
  /** What the case shows, in a sentence. */
  about: z.string(),
  /** The kinds of resources that the case is about. */
  show: z.array(z.enum(KINDS)),
  /** `namespace/account`; absent: no identity. */
  /** Codes of the diagnostics that the input gets, sorted. */
  diagnostics: z.optional(z.array(z.string())),
  callAs: z.optional(z.string()),
  locality: z.optional(z.string()),
  upstreams: z.optional(
    z.array(z.strictObject({ service: z.string(), port: z.optional(z.number()), listen: z.string() })),
  ),
  workloads: z.optional(
    z.array(
      z.strictObject({
        service: z.string(),
        labels: z.optional(z.record(z.string(), z.string())),
        protocol: z.enum(PROTOCOLS),
        listen: z.string(),
        application: z.string(),
      }),
    ),
  ),
});

type HostFile = z.output<typeof hostFile>;

export interface GoldenCase {
  readonly name: string;
  readonly dir: string;
  /** What is wrong with the input, by code, and what was expected to be. */
  readonly diagnostics: readonly string[];
  readonly expectedDiagnostics: readonly string[];
  readonly resources: Resources;
  /** Whose certificates the resources name. */
  readonly identities: readonly SpiffeId[];
  /** The text of `envoy.yaml`. */
  readonly output: string;
}

function socketAddress(text: string): SocketAddress {
  const split = text.lastIndexOf(':');
  return { address: text.slice(0, split), port: Number(text.slice(split + 1)) };
}

function identity(config: MeshConfig, text: string): SpiffeId {
  const [namespace = '', serviceAccount = ''] = text.split('/');
  const id = workloadSpiffeId({ trustDomain: config.trustDomain, namespace, serviceAccount });
  if (id === undefined) throw new Error(`${text} is no namespace/account`);
  return id;
}

function locality(text: string | undefined): Locality {
  const [region = '', zone = '', subzone = ''] = text?.split('/') ?? [];
  return { region, zone, subzone };
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function hostOf(spec: HostFile, config: MeshConfig): Host {
  const upstreams = (spec.upstreams ?? []).map(
    ({ service, port, listen }): Upstream => ({
      serviceHost: canonicalHost(config, service, DEFAULT_NAMESPACE),
      servicePort: port,
      listen: socketAddress(listen),
    }),
  );
  const workloads = (spec.workloads ?? []).map(
    ({ service, labels, protocol, listen, application }): Workload => ({
      namespace: DEFAULT_NAMESPACE,
      service,
      serviceHost: canonicalHost(config, service, DEFAULT_NAMESPACE),
      identity: identity(config, `${DEFAULT_NAMESPACE}/${service}`),
      labels: labels ?? {},
      inbound: { listen: socketAddress(listen), protocol, application: socketAddress(application) },
    }),
  );
  return {
    nodeId: 'golden',
    nodeCluster: 'golden',
    locality: locality(spec.locality),
    workloads,
    upstreams,
    callerIdentity: spec.callAs === undefined ? undefined : identity(config, spec.callAs),
    healthListener: { address: '127.0.0.1', port: 15021 },
  };
}

/** Reads and translates one folder. */
export function loadCase(dir: string, name: string): GoldenCase {
  const path = join(dir, name);
  const meshText = readOptional(join(path, 'mesh.yaml'));
  const parsed = meshText === undefined ? undefined : parseMeshConfig(meshText, 'mesh.yaml');
  const config = parsed === undefined ? DEFAULT_MESH_CONFIG : parsed.config;
  if (config === undefined) throw new Error(`${name}/mesh.yaml: ${JSON.stringify(parsed?.diagnostics)}`);
  const set = parseResources([{ file: 'in.yaml', text: readFileSync(join(path, 'in.yaml'), 'utf8') }]);
  const mesh = buildMesh(undefined, { config, resources: set, catalogue: undefined, localServices: [] });
  const spec = z.parse(hostFile, parse(readFileSync(join(path, 'host.yaml'), 'utf8')));
  const host = hostOf(spec, config);
  const resources = new Translator().translate(mesh, host);
  const callers = host.callerIdentity === undefined ? [] : [host.callerIdentity];
  return {
    name,
    dir: path,
    diagnostics: [...(parsed?.diagnostics ?? []), ...mesh.diagnostics].map(({ code }) => code).toSorted(),
    expectedDiagnostics: spec.diagnostics ?? [],
    resources,
    identities: [...new Set([...callers, ...host.workloads.map((workload) => workload.identity)])],
    output: resourcesJson(resources, spec.show)
      .map((resource) => stringify(resource, { lineWidth: 0 }))
      .join('---\n'),
  };
}

export function caseNames(dir: string): readonly string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}
