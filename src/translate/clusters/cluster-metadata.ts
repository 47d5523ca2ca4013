/** What telemetry reads from a cluster, in Istio's form. */
import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf';
import type { MetadataSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import type { ResourceMeta } from '../../model/resource-meta.ts';

/**
 * @param rule the DestinationRule that the cluster follows, the oldest of several
 */
export function clusterMetadata(
  service: {
    readonly host: string;
    readonly name: string;
    readonly namespace: string;
    readonly external?: boolean;
  },
  subset?: string,
  rule?: Pick<ResourceMeta, 'namespace' | 'name'>,
): MessageInitShape<typeof MetadataSchema> {
  const istio: JsonObject = {
    services: [{ host: service.host, name: service.name, namespace: service.namespace }],
    ...(subset !== undefined && { subset }),
    ...(service.external === true && { external: true }),
    ...(rule !== undefined && {
      config: `/apis/networking.istio.io/v1/namespaces/${rule.namespace}/destination-rule/${rule.name}`,
    }),
  };
  return { filterMetadata: { istio } };
}
