/** EnvoyFilters whose patches Envoy's API takes, and what is wrong with the others. */
import type { DescMessage } from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '../../gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '../../gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteSchema, VirtualHostSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '../../gen/envoy/config/route/v3/route_pb.ts';
import { HttpFilterSchema } from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { errorMessage } from '../../lib/errors.ts';
import type { Diagnostic } from '../../model/diagnostic.ts';
import type { EnvoyFilter, PatchTarget } from '../../model/envoy-filter.ts';
import type { Mesh } from '../../model/mesh.ts';
import { describeObject } from '../../model/resource-meta.ts';
import { orderedFilters } from './applicable.ts';
import { withCanonicalMatches } from './canonical-match.ts';
import { patchValue } from './patch-value.ts';

const SCHEMAS: Readonly<Partial<Record<PatchTarget, DescMessage>>> = {
  LISTENER: ListenerSchema,
  LISTENER_FILTER: ListenerFilterSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
};

export interface CheckedFilters {
  /** In the order in which they are applied. */
  readonly filters: readonly EnvoyFilter[];
  readonly diagnostics: readonly Diagnostic[];
}

function notAllowed({ meta }: EnvoyFilter): Diagnostic {
  return {
    code: 'TRY0410',
    severity: 'warning',
    object: describeObject(meta),
    source: meta.source,
    message: `EnvoyFilters of namespace ${meta.namespace} are not allowed; it is not applied`,
    remedy: 'Add the namespace to "envoyFilters.namespaces" of the mesh configuration, if it may change any policy.',
  };
}

/** One faulty patch takes its own filter away, which as a whole says what its author wanted, and no other. */
export function checkFilters(mesh: Pick<Mesh, 'envoyFilters' | 'config'>): CheckedFilters {
  const allowed = orderedFilters(mesh);
  const diagnostics = mesh.envoyFilters.filter((filter) => !allowed.includes(filter)).map(notAllowed);
  const filters = allowed.filter(({ meta, patches }) => {
    const faults = patches.flatMap(({ applyTo, operation, value, source }): Diagnostic[] => {
      const schema = SCHEMAS[applyTo];
      if (schema === undefined || operation === 'REMOVE') return [];
      try {
        patchValue(schema, value);
        return [];
      } catch (error) {
        return [
          {
            code: 'TRY0409',
            severity: 'error',
            object: describeObject(meta),
            source,
            message: `its patch of ${applyTo} is no ${schema.typeName}: ${errorMessage(error)}; the filter is not applied`,
            remedy: "Write the value in Envoy's own JSON or YAML form.",
          },
        ];
      }
    });
    diagnostics.push(...faults);
    return faults.length === 0;
  });
  return { filters: filters.map((filter) => withCanonicalMatches(mesh.config, filter)), diagnostics };
}
