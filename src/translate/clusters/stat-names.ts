/** What clusters are called in Envoy's statistics, by the patterns of the mesh configuration. */
import type { MeshConfig, STAT_NAME_PARTS } from '../../model/mesh-config.ts';
import type { Service, ServicePort } from '../../model/service.ts';
import { statName } from '../names.ts';

type Parts = Readonly<Record<(typeof STAT_NAME_PARTS)[number], string>>;

function filled(pattern: string, parts: Parts): string {
  return Object.entries(parts).reduce((name, [part, value]) => name.replaceAll(part, value), pattern);
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

/** By default the cluster's own name. Clients that have a cluster of their own keep it apart. */
export function outboundStatName({ name, service, port, subset, config }: OutboundStat): string {
  const pattern = config.outboundClusterStatName ?? '';
  if (pattern === '') return statName(name);
  const client = name.indexOf('~');
  const parts = {
    '%SERVICE%': shortName(service),
    '%SERVICE_NAME%': service.name,
    '%SERVICE_FQDN%': service.host,
    '%SERVICE_PORT%': `${port.number}`,
    '%SERVICE_PORT_NAME%': port.name,
    '%TARGET_PORT%': `${port.targetPort ?? port.number}`,
    '%SUBSET_NAME%': subset ?? '',
  };
  return statName(filled(pattern, parts) + (client < 0 ? '' : name.slice(client)));
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
