/** Whose certificates the connections of one cluster carry, and how the cluster knows whose a connection is. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ClusterSchema } from '../../gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { TransportSocketSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import {
  EndpointMetadataInputSchema,
  FilterStateInputSchema,
  TransportSocketNameActionSchema,
} from '../../gen/envoy/extensions/matching/common_inputs/transport_socket/v3/transport_socket_inputs_pb.ts';
import type { Matcher_OnMatchSchema, MatcherSchema } from '../../gen/xds/type/matcher/v3/matcher_pb.ts';
import type { SpiffeId } from '../../model/spiffe-id.ts';
import { pack } from '../messages.ts';
import type { Calling } from '../view/calling.ts';

/** Key of the filter state in which a listener leaves its caller for the clusters. */
export const CALLER_STATE = 'trysail.caller';
/** The caller without an identity. */
const NOBODY = 'nobody';

/** Those who call a cluster. */
export interface ClusterCallers {
  /** Sorted. */
  readonly identities: readonly SpiffeId[];
  /** Whether callers without an identity are among them. */
  readonly nobody: boolean;
  /** Whether the host has callers that must be told apart, even if only one of them uses this cluster. */
  readonly apart: boolean;
}

export function clusterCallers(calling: Iterable<Calling>, apart: boolean): ClusterCallers {
  const all = new Set([...calling].map(({ identity }) => identity));
  const identities = [...all].filter((identity) => identity !== undefined).toSorted();
  return { identities, nobody: all.has(undefined), apart };
}

/** The same text for the same callers. */
export function callersKey({ identities, nobody, apart }: ClusterCallers): string {
  return [apart ? 'apart' : 'one', ...(nobody ? [NOBODY] : []), ...identities].join(' ');
}

/** What a listener leaves in the filter state for its caller. */
export function callerState({ identity }: Calling): string {
  return identity ?? NOBODY;
}

type Socket = MessageInitShape<typeof TransportSocketSchema>;
type Matcher = MessageInitShape<typeof MatcherSchema>;
type OnMatch = MessageInitShape<typeof Matcher_OnMatchSchema>;
type Sockets = Pick<
  MessageInitShape<typeof ClusterSchema>,
  'transportSocket' | 'transportSocketMatches' | 'transportSocketMatcher'
>;

const PLAIN = 'plain';
const REFUSED = 'refused';

function use(socket: string): OnMatch {
  const typedConfig = pack(TransportSocketNameActionSchema, { name: socket });
  return { onMatch: { case: 'action', value: { name: 'envoy.matching.action.transport_socket.name', typedConfig } } };
}

function byCaller({ identities }: ClusterCallers, toNobody: string): Matcher {
  return {
    matcherType: {
      case: 'matcherTree',
      value: {
        input: {
          name: 'envoy.matching.inputs.transport_socket_filter_state',
          typedConfig: pack(FilterStateInputSchema, { key: CALLER_STATE }),
        },
        treeType: {
          case: 'exactMatchMap',
          value: {
            map: {
              [NOBODY]: use(toNobody),
              ...Object.fromEntries(identities.map((identity) => [identity, use(identity)])),
            },
          },
        },
      },
    },
    // A matcher inside of another one would else fall back on what that does without a match.
    onNoMatch: use(REFUSED),
  };
}

/**
 * The transport sockets of a cluster whose callers are told apart. Who is not among them, or not known, gets no
 * connection.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/cluster.proto#envoy-v3-api-field-config-cluster-v3-cluster-transport-socket-matcher
 * @param mutual the socket with a caller's certificate
 * @param refused a socket that connects to nobody
 * @param plainUnless of a service of which some endpoints speak plain text: the metadata of those that do not
 */
export function socketsByCaller(
  callers: ClusterCallers,
  mutual: (caller: SpiffeId) => Socket,
  refused: Socket,
  plainUnless:
    | { readonly filter: string; readonly key: string; readonly value: string; readonly plain: Socket }
    | undefined,
): Sockets {
  const named = [
    ...callers.identities.map((identity) => ({ name: identity, transportSocket: mutual(identity) })),
    { name: REFUSED, transportSocket: refused },
  ];
  if (plainUnless === undefined)
    return {
      transportSocket: refused,
      transportSocketMatches: named,
      transportSocketMatcher: byCaller(callers, REFUSED),
    };
  const { filter, key, value, plain } = plainUnless;
  return {
    transportSocket: refused,
    transportSocketMatches: [...named, { name: PLAIN, transportSocket: plain }],
    transportSocketMatcher: {
      matcherType: {
        case: 'matcherTree',
        value: {
          input: {
            name: 'envoy.matching.inputs.endpoint_metadata',
            typedConfig: pack(EndpointMetadataInputSchema, {
              filter,
              path: [{ segment: { case: 'key', value: key } }],
            }),
          },
          treeType: {
            case: 'exactMatchMap',
            value: { map: { [value]: { onMatch: { case: 'matcher', value: byCaller(callers, PLAIN) } } } },
          },
        },
      },
      onNoMatch: use(PLAIN),
    },
  };
}
