/**
 * The client status discovery service (CSDS) as this server sees its clients: per resource whether it was asked for,
 * acknowledged or refused. https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ClientResourceStatus } from '../gen/envoy/admin/v3/config_dump_shared_pb.ts';
import { NodeSchema } from '../gen/envoy/config/core/v3/base_pb.ts';
import {
  type ClientConfig_GenericXdsConfigSchema,
  type ClientConfigSchema,
  ClientStatusRequestSchema,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '../gen/envoy/service/status/v3/csds_pb.ts';
import type { NodeMatcher } from '../gen/envoy/type/matcher/v3/node_pb.ts';
import { TYPE_URL } from './resource.ts';
import type { XdsStream } from './stream.ts';
import type { ResourceStatus, Subscription } from './subscription.ts';

/** The request asks for something that is not supported. */
class UnsupportedMatcher extends Error {}

const STATES: Readonly<
  Record<ResourceStatus['state'], { readonly client: ClientResourceStatus; readonly config: ConfigStatus }>
> = {
  acknowledged: { client: ClientResourceStatus.ACKED, config: ConfigStatus.SYNCED },
  rejected: { client: ClientResourceStatus.NACKED, config: ConfigStatus.ERROR },
  missing: { client: ClientResourceStatus.DOES_NOT_EXIST, config: ConfigStatus.NOT_SENT },
  sent: { client: ClientResourceStatus.REQUESTED, config: ConfigStatus.STALE },
  unsent: { client: ClientResourceStatus.REQUESTED, config: ConfigStatus.NOT_SENT },
};

function matches({ nodeId, nodeMetadatas }: NodeMatcher, id: string): boolean {
  if (nodeMetadatas.length > 0) throw new UnsupportedMatcher('nodes can be matched by their id only');
  if (nodeId === undefined) return true;
  const fold = (text: string): string => (nodeId.ignoreCase ? text.toLowerCase() : text);
  const { matchPattern } = nodeId;
  switch (matchPattern.case) {
    case 'exact':
      return fold(id) === fold(matchPattern.value);
    case 'prefix':
      return fold(id).startsWith(fold(matchPattern.value));
    case 'suffix':
      return fold(id).endsWith(fold(matchPattern.value));
    case 'contains':
      return fold(id).includes(fold(matchPattern.value));
    default:
      throw new UnsupportedMatcher('node ids can be matched by exact, prefix, suffix and contains only');
  }
}

function configsOf(
  subscription: Subscription,
  withContents: boolean,
): MessageInitShape<typeof ClientConfig_GenericXdsConfigSchema>[] {
  const { table, rejection, acknowledged } = subscription;
  // A private key is nobody's business here.
  const showsContent = withContents && table.typeUrl !== TYPE_URL.secret;
  return Array.from(subscription.statuses(), ({ name, version, state }) => {
    const value = showsContent ? table.find(name)?.resource.value : undefined;
    return {
      typeUrl: table.typeUrl,
      name,
      versionInfo: version,
      configStatus: STATES[state].config,
      clientStatus: STATES[state].client,
      ...(value === undefined ? {} : { xdsConfig: { typeUrl: table.typeUrl, value } }),
      ...(acknowledged === undefined ? {} : { lastUpdated: timestampFromMs(acknowledged.at) }),
      ...(state === 'rejected' && rejection !== undefined
        ? {
            errorState: {
              details: rejection.message,
              versionInfo: rejection.version,
              lastUpdateAttempt: timestampFromMs(rejection.at),
            },
          }
        : {}),
    };
  });
}

/**
 * Answers one encoded `ClientStatusRequest`.
 * @throws UnsupportedMatcher; anything else when the bytes are no such request
 */
export function clientStatusResponse(request: Uint8Array, streams: Iterable<XdsStream>): Buffer {
  const { nodeMatchers, excludeResourceContents } = fromBinary(ClientStatusRequestSchema, request);
  const config: MessageInitShape<typeof ClientConfigSchema>[] = [];
  for (const { node, subscriptions } of streams) {
    if (node === undefined) continue;
    if (nodeMatchers.length > 0 && !nodeMatchers.some((matcher) => matches(matcher, node.id))) continue;
    config.push({
      node: fromBinary(NodeSchema, node.bytes),
      genericXdsConfigs: [...subscriptions.values()].flatMap((s) => configsOf(s, !excludeResourceContents)),
    });
  }
  return Buffer.from(toBinary(ClientStatusResponseSchema, create(ClientStatusResponseSchema, { config })));
}
