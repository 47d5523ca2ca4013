/** Patches of listeners, their chains and filters. */
import { clone, create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { type TcpProxy, TcpProxySchema } from '../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import type { EnvoyPatch, ListenerMatch } from '../../model/envoy-filter.ts';
import { mergeMessage } from './merge-message.ts';
import { type ClusterPatching, isOfHost } from './patch-cluster.ts';
import { patchList } from './patch-list.ts';
import { isOfContext, mergeOptions, type PatchContext, patchRouteConfiguration } from './patch-routes.ts';
import { patchValue } from './patch-value.ts';

/** Where connections to many destinations arrive: what a patch calls the port is that of the destination. */
const CAPTURE = /^virtual(?:Outbound|Inbound)/;

function portsOf({ address, additionalAddresses }: Listener): readonly number[] {
  return [address, ...additionalAddresses.map((one) => one.address)].flatMap((one) => {
    if (one?.address.case !== 'socketAddress') return [];
    const { portSpecifier } = one.address.value;
    return portSpecifier.case === 'portValue' ? [portSpecifier.value] : [];
  });
}

/** The port of the service that a chain's calls are for, where its routes or its cluster name one. */
function servicePort(chain: FilterChain): number | undefined {
  const found = chain.filters.flatMap((filter) => {
    const manager = managerOf(filter);
    if (manager?.routeSpecifier.case === 'rds')
      return /:(\d+)(?:~|$)/.exec(manager.routeSpecifier.value.routeConfigName)?.[1] ?? [];
    const clusters = proxyOf(filter)?.clusterSpecifier;
    const cluster = clusters?.case === 'weightedClusters' ? clusters.value.clusters[0]?.name : clusters?.value;
    return (typeof cluster === 'string' && /^outbound\|(\d+)\|/.exec(cluster)?.[1]) || [];
  });
  return found[0] === undefined ? undefined : Number(found[0]);
}

function proxyOf({ configType }: Filter): TcpProxy | undefined {
  if (configType.case !== 'typedConfig' || !configType.value.typeUrl.endsWith(`/${TcpProxySchema.typeName}`))
    return undefined;
  return fromBinary(TcpProxySchema, configType.value.value);
}

function managerOf(filter: Filter): HttpConnectionManager | undefined {
  const { configType } = filter;
  if (
    configType.case !== 'typedConfig' ||
    !configType.value.typeUrl.endsWith(`/${HttpConnectionManagerSchema.typeName}`)
  )
    return undefined;
  return fromBinary(HttpConnectionManagerSchema, configType.value.value);
}

/** Whether a patch is for the listener: of one that is patched as a whole, or grows, the port counts too. */
function isListener({ applyTo, operation, match: { listener: match } }: EnvoyPatch, listener: Listener): boolean {
  if (match?.name !== undefined && match.name !== listener.name) return false;
  const { portNumber } = match ?? {};
  const whole = applyTo === 'LISTENER' || applyTo === 'LISTENER_FILTER';
  if (portNumber === undefined || (!whole && !(applyTo === 'FILTER_CHAIN' && operation === 'ADD'))) return true;
  if (portsOf(listener).includes(portNumber)) return true;
  if (CAPTURE.test(listener.name)) return applyTo !== 'LISTENER';
  return chainsOf(listener).some((chain) => servicePort(chain) === portNumber);
}

function chainsOf({ filterChains, defaultFilterChain }: Listener): readonly FilterChain[] {
  return defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
}

function isPort(match: ListenerMatch | undefined, listener: Listener, chain: FilterChain): boolean {
  if (match?.portNumber === undefined) return true;
  if (CAPTURE.test(listener.name)) return chain.filterChainMatch?.destinationPort === match.portNumber;
  return portsOf(listener).includes(match.portNumber) || servicePort(chain) === match.portNumber;
}

function isChain(patch: EnvoyPatch, listener: Listener, chain: FilterChain): boolean {
  const { listener: match } = patch.match;
  if (!isPort(match, listener, chain)) return false;
  const wanted = match?.filterChain;
  if (wanted === undefined) return true;
  const of = chain.filterChainMatch;
  const protocols = wanted.applicationProtocols?.split(',');
  return (
    (wanted.name === undefined || wanted.name === chain.name) &&
    (wanted.sni === undefined || (of?.serverNames.includes(wanted.sni) ?? false)) &&
    (wanted.transportProtocol === undefined || wanted.transportProtocol === of?.transportProtocol) &&
    (protocols === undefined || protocols.some((one) => of?.applicationProtocols.includes(one.trim()) ?? false)) &&
    (wanted.destinationPort === undefined || wanted.destinationPort === of?.destinationPort)
  );
}

function patchManager(manager: HttpConnectionManager, patches: readonly EnvoyPatch[], context: PatchContext): void {
  const filters = patchList(
    manager.httpFilters,
    patches.filter(({ applyTo }) => applyTo === 'HTTP_FILTER'),
    {
      selects: ({ match }, { name }) => {
        const wanted = match.listener?.filterChain?.filter?.subFilter?.name;
        return wanted === undefined || wanted === name;
      },
      namesOne: ({ match }) => match.listener?.filterChain?.filter?.subFilter?.name !== undefined,
      merge: (patch, filter) =>
        mergeMessage(HttpFilterSchema, filter, patchValue(HttpFilterSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(HttpFilterSchema, value),
    },
    true,
  );
  manager.httpFilters = [...filters];
  const { routeSpecifier } = manager;
  if (routeSpecifier.case === 'routeConfig')
    manager.routeSpecifier = {
      case: 'routeConfig',
      value: patchRouteConfiguration(routeSpecifier.value, patches, context),
    };
}

function withHttpPatches(filter: Filter, patches: readonly EnvoyPatch[], context: PatchContext): Filter {
  const here = patches.filter(({ applyTo, match }) => {
    const wanted = match.listener?.filterChain?.filter?.name;
    return applyTo !== 'HTTP_FILTER' || wanted === undefined || wanted === filter.name;
  });
  const manager = managerOf(filter);
  if (manager === undefined) return filter;
  patchManager(manager, here, context);
  const typeUrl = `type.googleapis.com/${HttpConnectionManagerSchema.typeName}`;
  filter.configType = {
    case: 'typedConfig',
    value: create(AnySchema, { typeUrl, value: toBinary(HttpConnectionManagerSchema, manager) }),
  };
  return filter;
}

function patchChain(chain: FilterChain, patches: readonly EnvoyPatch[], context: PatchContext): FilterChain {
  const filters = patchList(
    chain.filters,
    patches.filter(({ applyTo }) => applyTo === 'NETWORK_FILTER'),
    {
      selects: ({ match }, { name }) => {
        const wanted = match.listener?.filterChain?.filter?.name;
        return wanted === undefined || wanted === name;
      },
      namesOne: ({ match }) => match.listener?.filterChain?.filter?.name !== undefined,
      merge: (patch, filter) =>
        mergeMessage(FilterSchema, filter, patchValue(FilterSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(FilterSchema, value),
    },
    true,
  );
  chain.filters = filters.map((filter) => withHttpPatches(filter, patches, context));
  return chain;
}

const CHAIN_TARGETS: ReadonlySet<EnvoyPatch['applyTo']> = new Set([
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
]);

function patchChains(listener: Listener, patches: readonly EnvoyPatch[], context: PatchContext): void {
  const chains = patchList(
    listener.filterChains,
    patches.filter(({ applyTo }) => applyTo === 'FILTER_CHAIN'),
    {
      selects: (patch, chain) => isChain(patch, listener, chain),
      namesOne: ({ match }) => match.listener?.filterChain !== undefined,
      merge: (patch, chain) =>
        mergeMessage(FilterChainSchema, chain, patchValue(FilterChainSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(FilterChainSchema, value),
    },
    false,
  );
  const inside = (chain: FilterChain): FilterChain =>
    patchChain(
      chain,
      patches.filter((patch) => patch.match.listener === undefined || isChain(patch, listener, chain)),
      context,
    );
  listener.filterChains = chains.map(inside);
  if (listener.defaultFilterChain !== undefined) listener.defaultFilterChain = inside(listener.defaultFilterChain);
}

/** The listener as patched: the same object when no patch is for it; undefined when it is removed. */
export function patchListener(
  listener: Listener,
  patches: readonly EnvoyPatch[],
  context: PatchContext,
): Listener | undefined {
  const meant = patches.filter(
    (patch) =>
      patch.applyTo !== 'CLUSTER' &&
      !(patch.applyTo === 'LISTENER' && patch.operation === 'ADD') &&
      isOfContext(patch, context) &&
      isListener(patch, listener),
  );
  if (meant.length === 0) return listener;
  const own = meant.filter(({ applyTo }) => applyTo === 'LISTENER');
  if (own.some(({ operation }) => operation === 'REMOVE')) return undefined;
  const patched = clone(ListenerSchema, listener);
  for (const patch of own)
    mergeMessage(ListenerSchema, patched, patchValue(ListenerSchema, patch.value), mergeOptions(patch));
  const filters = patchList(
    patched.listenerFilters,
    meant.filter(({ applyTo }) => applyTo === 'LISTENER_FILTER'),
    {
      selects: ({ match }, { name }) =>
        match.listener?.listenerFilter === undefined || match.listener.listenerFilter === name,
      namesOne: ({ match }) => match.listener?.listenerFilter !== undefined,
      merge: (patch, filter) =>
        mergeMessage(ListenerFilterSchema, filter, patchValue(ListenerFilterSchema, patch.value), mergeOptions(patch)),
      make: ({ value }) => patchValue(ListenerFilterSchema, value),
    },
    true,
  );
  patched.listenerFilters = [...filters];
  patchChains(
    patched,
    meant.filter(({ applyTo }) => CHAIN_TARGETS.has(applyTo)),
    context,
  );
  return patched;
}

/** Listeners that patches add to a host of such roles, once. */
export function addedListeners(
  patches: readonly EnvoyPatch[],
  of: Pick<ClusterPatching, 'gateway' | 'sidecar'>,
): readonly Listener[] {
  return patches
    .filter((patch) => patch.applyTo === 'LISTENER' && patch.operation === 'ADD' && isOfHost(patch, of))
    .map(({ value }) => patchValue(ListenerSchema, value));
}
