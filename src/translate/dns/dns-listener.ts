/**
 * The UDP listener that answers for the names of services: Envoy's DNS filter, so that they resolve while the agent is
 * away. https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/udp_filters/dns_filter
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Duration } from '@bufbuild/protobuf/wkt';
import { SocketAddress_Protocol } from '../../gen/envoy/config/core/v3/address_pb.ts';
import { TrafficDirection } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import type { DnsTable_DnsVirtualDomainSchema } from '../../gen/envoy/data/dns/v3/dns_table_pb.ts';
import {
  type DnsFilterConfig_ClientContextConfigSchema,
  DnsFilterConfigSchema,
} from '../../gen/envoy/extensions/filters/udp/dns_filter/v3/dns_filter_pb.ts';
import { CaresDnsResolverConfigSchema } from '../../gen/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.ts';
import type { HostDns, SocketAddress } from '../../model/host.ts';
import type { Resource } from '../../xds/resource.ts';
import { duration, type Fields, pack, resource } from '../messages.ts';
import { listenerName } from '../names.ts';

/** The least that Envoy takes. */
const ANSWER_TTL_MS = 30_000;
/** Longer than whoever learns a name takes for it. */
const LEARNER_TIMEOUT_MS = 3000;
/** More names at a time are not asked for. */
const MAX_PENDING = 64n;

/** `dns_127.0.0.1_15053`: TCP listeners at the same port are others. */
export function dnsListenerName(listen: SocketAddress): string {
  return `dns_${listenerName(listen)}`;
}

function virtualDomain(
  name: string,
  addresses: readonly string[],
  answerTtl: Duration,
): MessageInitShape<typeof DnsTable_DnsVirtualDomainSchema> {
  return { name, answerTtl, endpoint: { endpointConfig: { case: 'addressList', value: { address: [...addresses] } } } };
}

/** Asks the learner for names that are not in the table. */
function askLearner({ address, port }: SocketAddress): Fields<typeof DnsFilterConfig_ClientContextConfigSchema> {
  const resolver = { address, portSpecifier: { case: 'portValue' as const, value: port } };
  return {
    resolverTimeout: duration(LEARNER_TIMEOUT_MS),
    maxPendingLookups: MAX_PENDING,
    typedDnsResolverConfig: {
      name: 'envoy.network.dns_resolver.cares',
      typedConfig: pack(CaresDnsResolverConfigSchema, {
        resolvers: [{ address: { case: 'socketAddress', value: resolver } }],
        dnsResolverOptions: { noDefaultSearchDomain: true },
      }),
    },
  };
}

/**
 * The listener. It answers A and AAAA of the names in `table`, what the learner says (without one: NXDOMAIN) for all
 * other names, and NOTIMP for other types; names are compared byte by byte.
 * @param table addresses by name, without a final dot
 */
export function dnsListener({ listen, learner }: HostDns, table: ReadonlyMap<string, readonly string[]>): Resource {
  const name = dnsListenerName(listen);
  const answerTtl = duration(ANSWER_TTL_MS);
  const { address, port: portValue } = listen;
  const virtualDomains = [...table]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([domain, addresses]) => virtualDomain(domain, addresses, answerTtl));
  return resource(name, ListenerSchema, {
    name,
    address: {
      address: {
        case: 'socketAddress',
        value: {
          protocol: SocketAddress_Protocol.UDP,
          address,
          portSpecifier: { case: 'portValue', value: portValue },
        },
      },
    },
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [
      {
        name: 'envoy.filters.udp.dns_filter',
        configType: {
          case: 'typedConfig',
          value: pack(DnsFilterConfigSchema, {
            statPrefix: 'mesh',
            serverConfig: { configSource: { case: 'inlineDnsTable', value: { virtualDomains } } },
            ...(learner !== undefined && { clientConfig: askLearner(learner) }),
          }),
        },
      },
    ],
  });
}
