/** EnvoyFilter. https://istio.io/latest/docs/reference/config/networking/envoy-filter/ */
import * as z from 'zod/mini';
import type { Path } from '../../lib/yaml-document.ts';
import type { EnvoyFilter, EnvoyPatch, PatchOperation, PatchTarget } from '../../model/envoy-filter.ts';
import { int, labels, nonEmpty } from '../field-types.ts';
import { refused, type UnsupportedField } from '../unsupported-fields.ts';
import { defineKind, type Report } from './kind.ts';

const TARGETS = [
  'LISTENER',
  'LISTENER_FILTER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
  'CLUSTER',
  'EXTENSION_CONFIG',
  'BOOTSTRAP',
] as const satisfies readonly PatchTarget[];

const FILTER_OPERATIONS = [
  'MERGE',
  'MERGE_AND_REPLACE_LIST',
  'ADD',
  'REMOVE',
  'INSERT_BEFORE',
  'INSERT_AFTER',
  'INSERT_FIRST',
  'REPLACE',
] as const satisfies readonly PatchOperation[];
const OBJECT_OPERATIONS: readonly PatchOperation[] = ['MERGE', 'MERGE_AND_REPLACE_LIST', 'ADD', 'REMOVE'];
const MERGES: readonly PatchOperation[] = ['MERGE', 'MERGE_AND_REPLACE_LIST'];

/** What can be done to a target. */
const OPERATIONS: Readonly<Record<PatchTarget, readonly PatchOperation[]>> = {
  LISTENER: OBJECT_OPERATIONS,
  LISTENER_FILTER: FILTER_OPERATIONS,
  FILTER_CHAIN: OBJECT_OPERATIONS,
  NETWORK_FILTER: FILTER_OPERATIONS,
  HTTP_FILTER: FILTER_OPERATIONS,
  ROUTE_CONFIGURATION: MERGES,
  VIRTUAL_HOST: [...OBJECT_OPERATIONS, 'REPLACE'],
  HTTP_ROUTE: [...OBJECT_OPERATIONS, 'INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST'],
  CLUSTER: OBJECT_OPERATIONS,
  EXTENSION_CONFIG: [],
  BOOTSTRAP: [],
};

const SUPPORTED = TARGETS.filter((target) => OPERATIONS[target].length > 0);

const filterMatch = z.strictObject({
  name: z.optional(nonEmpty),
  subFilter: z.optional(z.strictObject({ name: z.optional(nonEmpty) })),
});

const match = z.strictObject({
  context: z.optional(z.enum(['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT'])),
  proxy: z.optional(
    z.strictObject({ proxyVersion: z.optional(z.string()), metadata: z.optional(z.record(z.string(), z.string())) }),
  ),
  listener: z.optional(
    z.strictObject({
      portNumber: z.optional(int(1, 65_535)),
      portName: z.optional(z.string()),
      name: z.optional(nonEmpty),
      listenerFilter: z.optional(nonEmpty),
      filterChain: z.optional(
        z.strictObject({
          name: z.optional(nonEmpty),
          sni: z.optional(nonEmpty),
          transportProtocol: z.optional(nonEmpty),
          applicationProtocols: z.optional(nonEmpty),
          destinationPort: z.optional(int(1, 65_535)),
          filter: z.optional(filterMatch),
        }),
      ),
    }),
  ),
  routeConfiguration: z.optional(
    z.strictObject({
      portNumber: z.optional(int(1, 65_535)),
      portName: z.optional(nonEmpty),
      gateway: z.optional(nonEmpty),
      name: z.optional(nonEmpty),
      vhost: z.optional(
        z.strictObject({
          name: z.optional(nonEmpty),
          domainName: z.optional(nonEmpty),
          route: z.optional(
            z.strictObject({
              name: z.optional(nonEmpty),
              action: z.optional(z.enum(['ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE'])),
            }),
          ),
        }),
      ),
    }),
  ),
  cluster: z.optional(
    z.strictObject({
      portNumber: z.optional(int(1, 65_535)),
      service: z.optional(nonEmpty),
      subset: z.optional(nonEmpty),
      name: z.optional(nonEmpty),
    }),
  ),
  waypoint: z.optional(z.unknown()),
});

const patch = z.strictObject({
  operation: z.optional(z.enum(['INVALID', ...FILTER_OPERATIONS])),
  value: z.optional(z.record(z.string(), z.unknown())),
  filterClass: z.optional(z.enum(['UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS'])),
});

const schema = z.strictObject({
  workloadSelector: z.optional(z.strictObject({ labels: z.optional(labels) })),
  targetRefs: z.optional(z.unknown()),
  priority: z.optional(int(-2_147_483_648, 2_147_483_647)),
  configPatches: z.optional(
    z.array(
      z.strictObject({
        applyTo: z.optional(z.enum(['INVALID', ...TARGETS])),
        match: z.optional(match),
        patch: z.optional(patch),
      }),
    ),
  ),
});

type PatchSpec = NonNullable<z.output<typeof schema>['configPatches']>[number];

const ENVOY_FILTER_UNSUPPORTED: readonly UnsupportedField[] = [
  refused('targetRefs', 'Use "workloadSelector": there are no gateways of Kubernetes to refer to.'),
  refused('configPatches[].match.proxy', 'Remove it: every proxy of the mesh is one that Trysail started.'),
  refused('configPatches[].match.waypoint', 'Remove it: there are no waypoints without Kubernetes.'),
  {
    path: 'configPatches[].match.context',
    effect: 'refused',
    only: ['WAYPOINT'],
    remedy: 'Write SIDECAR_INBOUND, SIDECAR_OUTBOUND, GATEWAY or ANY.',
  },
  {
    path: 'configPatches[].applyTo',
    effect: 'refused',
    only: ['BOOTSTRAP', 'EXTENSION_CONFIG'],
    remedy:
      'Patch listeners, routes and clusters: the bootstrap is settings in agent.yaml, and configuration of a filter stands in the filter.',
  },
  {
    path: 'configPatches[].patch.filterClass',
    effect: 'ignored',
    except: ['UNSPECIFIED'],
    remedy: 'Name the filter before or after which it belongs ("INSERT_BEFORE", "INSERT_AFTER").',
  },
];

const OBJECT_MATCHES = ['listener', 'routeConfiguration', 'cluster'] as const;

/** The match by which a filter is removed or replaced, by target; others need none. */
const FILTER_NAMES: Partial<Record<PatchTarget, string>> = {
  LISTENER_FILTER: 'listener.listenerFilter',
  NETWORK_FILTER: 'listener.filterChain.filter.name',
  HTTP_FILTER: 'listener.filterChain.filter.subFilter.name',
};

/** The match by which a target is chosen. Another one would choose nothing, and the patch would be for everything. */
const MATCHES: Readonly<Record<PatchTarget, (typeof OBJECT_MATCHES)[number] | undefined>> = {
  LISTENER: 'listener',
  LISTENER_FILTER: 'listener',
  FILTER_CHAIN: 'listener',
  NETWORK_FILTER: 'listener',
  HTTP_FILTER: 'listener',
  ROUTE_CONFIGURATION: 'routeConfiguration',
  VIRTUAL_HOST: 'routeConfiguration',
  HTTP_ROUTE: 'routeConfiguration',
  CLUSTER: 'cluster',
  EXTENSION_CONFIG: undefined,
  BOOTSTRAP: undefined,
};

const HTTP_CONNECTION_MANAGER = 'envoy.filters.network.http_connection_manager';

/** Says of a match that it is not one of what is patched. */
function checkMatch(applyTo: PatchTarget, written: NonNullable<PatchSpec['match']>, at: Path, report: Report): void {
  const kinds = OBJECT_MATCHES.filter((kind) => written[kind] !== undefined);
  const meant = MATCHES[applyTo];
  if (kinds.length > 1) report([...at, 'match'], `has ${kinds.join(' and ')}`, 'Keep one of them.');
  for (const kind of kinds)
    if (meant !== undefined && kind !== meant)
      report(
        [...at, 'match', kind],
        `${applyTo} is not chosen by it, and the patch would be for each`,
        `Match by "${meant}".`,
      );
  const filter = written.listener?.filterChain?.filter;
  if (filter === undefined || meant !== 'listener') return;
  const where = [...at, 'match', 'listener', 'filterChain', 'filter'];
  if (applyTo !== 'NETWORK_FILTER' && applyTo !== 'HTTP_FILTER')
    report(where, `${applyTo} is not chosen by a filter`, 'Remove it, or patch NETWORK_FILTER or HTTP_FILTER.');
  else if (filter.subFilter === undefined) return;
  else if (applyTo !== 'HTTP_FILTER')
    report([...where, 'subFilter'], 'NETWORK_FILTER has none', 'Remove it, or write "applyTo: HTTP_FILTER".');
  else if (filter.name !== HTTP_CONNECTION_MANAGER)
    report(
      [...where, ...(filter.name === undefined ? [] : ['name'])],
      `HTTP filters are those of ${HTTP_CONNECTION_MANAGER}`,
      `Write "name: ${HTTP_CONNECTION_MANAGER}".`,
    );
}

/** Says of a patch that takes a filter away, or replaces it, without naming it that it does nothing. */
function checkFilterName(spec: PatchSpec, at: Path, report: Report): void {
  const { applyTo, match: written = {}, patch: done } = spec;
  const needed = applyTo === undefined || applyTo === 'INVALID' ? undefined : FILTER_NAMES[applyTo];
  if (needed === undefined || (done?.operation !== 'REMOVE' && done?.operation !== 'REPLACE')) return;
  const filter = written.listener?.filterChain?.filter;
  const name =
    applyTo === 'HTTP_FILTER'
      ? filter?.subFilter?.name
      : applyTo === 'NETWORK_FILTER'
        ? filter?.name
        : written.listener?.listenerFilter;
  if (name !== undefined) return;
  report(
    [...at, 'patch', 'operation'],
    `${done.operation} of a filter that is not named has no effect`,
    `Name it by "match.${needed}".`,
    {
      code: 'TRY0005',
      severity: 'warning',
    },
  );
}

function buildPatch(spec: PatchSpec, i: number, source: EnvoyPatch['source'], report: Report): EnvoyPatch | undefined {
  const at = ['configPatches', i];
  const { applyTo, match: written = {} } = spec;
  const operation = spec.patch?.operation;
  if (applyTo === undefined || applyTo === 'INVALID') {
    report([...at, 'applyTo'], 'is missing', `Write one of: ${SUPPORTED.join(', ')}.`);
    return undefined;
  }
  if (operation === undefined || operation === 'INVALID') {
    report([...at, 'patch', 'operation'], 'is missing', `Write one of: ${OPERATIONS[applyTo].join(', ')}.`);
    return undefined;
  }
  if (!OPERATIONS[applyTo].includes(operation))
    report(
      [...at, 'patch', 'operation'],
      `${operation} cannot be done to ${applyTo}`,
      `Use one of: ${OPERATIONS[applyTo].join(', ')}.`,
    );
  if (operation !== 'REMOVE' && spec.patch?.value === undefined)
    report([...at, 'patch', 'value'], `is missing, and ${operation} needs one`, "Add it, in Envoy's own form.");
  checkFilterName(spec, at, report);
  checkMatch(applyTo, written, at, report);
  if (written.listener?.portName !== undefined)
    report([...at, 'match', 'listener', 'portName'], 'has no meaning', 'Use portNumber.', {
      code: 'IST0002',
      severity: 'warning',
    });
  const { context = 'ANY', listener, routeConfiguration, cluster } = written;
  return {
    applyTo,
    context: context === 'WAYPOINT' ? 'ANY' : context,
    match: { listener, routeConfiguration, cluster },
    operation,
    value: spec.patch?.value,
    source,
  };
}

export const envoyFilterKind = defineKind({
  kind: 'EnvoyFilter',
  apiVersions: ['networking.istio.io/v1alpha3'],
  schema,
  unsupported: ENVOY_FILTER_UNSUPPORTED,
  build(meta, spec, report): EnvoyFilter {
    const selector = spec.workloadSelector?.labels ?? {};
    return {
      meta,
      workloadSelector: Object.keys(selector).length === 0 ? undefined : selector,
      priority: spec.priority ?? 0,
      patches: (spec.configPatches ?? []).flatMap((one, i) => buildPatch(one, i, meta.source, report) ?? []),
    };
  },
});
