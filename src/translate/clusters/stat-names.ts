/** What clusters are called in Envoy's statistics, by the patterns of the mesh configuration. */
import type { MeshConfig, STAT_NAME_PARTS } from '../../model/mesh-config.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import { statName } from '../names.ts';

/** Stands for whatever subset there is; no name has it. */
const ANY_SUBSET = '\0';

type Parts = Readonly<Record<(typeof STAT_NAME_PARTS)[number], string>>;

function filled(pattern: string, parts: Parts): string {
  return Object.entries(parts).reduce((name, [part, value]) => name.replaceAll(part, () => value), pattern);
}

/** A service of the mesh is `name.namespace` for short, as in Istio; others are their hosts. */
function shortName({ host, name, namespace, consulName }: StatService): string {
  return consulName === undefined ? host : `${name}.${namespace}`;
}

type StatService = Pick<Service, 'host' | 'name' | 'namespace' | 'consulName'>;

export interface OutboundStat {
  /** Of the cluster. */
  readonly name: string;
  readonly service: StatService;
  readonly port: ServicePort;
  readonly subset: string | undefined;
  readonly config: Pick<MeshConfig, 'outboundClusterStatName'>;
}

function outboundParts({ service, port, subset }: Pick<OutboundStat, 'service' | 'port' | 'subset'>): Parts {
  return {
    '%SERVICE%': shortName(service),
    '%SERVICE_NAME%': service.name,
    '%SERVICE_FQDN%': service.host,
    '%SERVICE_PORT%': `${port.number}`,
    '%SERVICE_PORT_NAME%': port.name,
    '%TARGET_PORT%': `${port.targetPort ?? port.number}`,
    '%SUBSET_NAME%': subset ?? '',
  };
}

/**
 * Whose clusters counters such as `cluster.<name>;.upstream_rq_total` are of, among `services`; undefined where clusters
 * have their own names, which say it.
 */
export function outboundStatHosts(
  { outboundClusterStatName: pattern = '' }: Pick<MeshConfig, 'outboundClusterStatName'>,
  services: readonly Pick<Service, 'host' | 'name' | 'namespace' | 'consulName' | 'ports'>[],
): ((counter: string) => readonly string[]) | undefined {
  if (pattern === '') return undefined;
  const hosts = new Map<string, string[]>();
  for (const service of services)
    for (const port of service.ports) {
      const name = filled(pattern, outboundParts({ service, port, subset: ANY_SUBSET }));
      hosts.set(name, [...(hosts.get(name) ?? []), service.host]);
    }
  const forms = [...hosts].map(([name, of]) => {
    const literal = name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll(ANY_SUBSET, '[^;]*');
    return { form: new RegExp(`^cluster\\.${literal}(?:~[^;]*)?;\\.`), of };
  });
  return (counter) => forms.flatMap(({ form, of }) => (form.test(counter) ? of : []));
}

/** By default the cluster's own name. Clients that have a cluster of their own keep it apart. */
export function outboundStatName({ name, service, port, subset, config }: OutboundStat): string {
  const pattern = config.outboundClusterStatName ?? '';
  if (pattern === '') return statName(name);
  const client = name.indexOf('~');
  return statName(filled(pattern, outboundParts({ service, port, subset })) + (client < 0 ? '' : name.slice(client)));
}

export interface InboundStat {
  /** Of the cluster. */
  readonly name: string;
  readonly service: Pick<Service, 'host' | 'name' | 'namespace'>;
  readonly port: Pick<ServicePort, 'number' | 'name'>;
  /** Where the application listens; undefined: at a Unix socket. */
  readonly targetPort: number | undefined;
  readonly config: Pick<MeshConfig, 'inboundClusterStatName'>;
}

/** The same for the cluster of an application of this host. */
export function inboundStatName({ name, service, port, targetPort, config }: InboundStat): string {
  const pattern = config.inboundClusterStatName ?? '';
  if (pattern === '') return statName(name);
  return statName(
    filled(pattern, {
      '%SERVICE%': `${service.name}.${service.namespace}`,
      '%SERVICE_NAME%': service.name,
      '%SERVICE_FQDN%': service.host,
      '%SERVICE_PORT%': `${port.number}`,
      '%SERVICE_PORT_NAME%': port.name,
      '%TARGET_PORT%': `${targetPort ?? port.number}`,
      '%SUBSET_NAME%': '',
    }),
  );
}
