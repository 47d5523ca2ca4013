/** Where Envoy gets what a resource refers to: always the one ADS stream of the agent. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ApiVersion, type ConfigSourceSchema } from '../gen/envoy/config/core/v3/config_source_pb.ts';
import type { SdsSecretConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { duration } from './messages.ts';

/**
 * For endpoints and routes. Without a time limit: a cluster or listener whose parts have not come yet must not replace
 * a working one.
 */
export const ADS = {
  configSourceSpecifier: { case: 'ads', value: {} },
  resourceApiVersion: ApiVersion.V3,
  initialFetchTimeout: duration(0),
} as const satisfies MessageInitShape<typeof ConfigSourceSchema>;

/**
 * For certificates. With a time limit, so that plain listeners and clusters of a host whose certificate authority is
 * away come up; what needs the certificate refuses connections until it arrives. Byte-constant: Envoy shares a secret
 * among all that name it with the same source.
 */
const SDS = {
  ...ADS,
  initialFetchTimeout: duration(2000),
} as const satisfies MessageInitShape<typeof ConfigSourceSchema>;

/** The secret that holds the roots of the mesh. */
export const ROOT_SECRET = 'ROOTCA';

export function sdsSecret(name: string): MessageInitShape<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: SDS };
}
