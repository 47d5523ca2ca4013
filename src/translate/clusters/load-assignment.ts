/**
 * Endpoints of a cluster as a ClusterLoadAssignment. Encoded by hand with the schema's field numbers: this is what
 * every change of an instance costs, and the general encoder takes fifty times as long.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AddressSchema, PipeSchema, SocketAddressSchema } from '../../gen/envoy/config/core/v3/address_pb.ts';
import { LocalitySchema, MetadataSchema } from '../../gen/envoy/config/core/v3/base_pb.ts';
import { HealthStatus } from '../../gen/envoy/config/core/v3/health_check_pb.ts';
import {
  EndpointSchema,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '../../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ClusterLoadAssignmentSchema } from '../../gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { Endpoint, Health, Locality } from '../../model/service.ts';
import { SOCKET_MATCH, TLS_MODE, TLS_MODE_ISTIO } from './cluster-security.ts';
import { withoutGaps } from './locality-priority.ts';
import { coversLocality, type LocalitySpread } from './locality-spread.ts';
import { socketPath } from './socket-path.ts';

export interface LoadAssignmentSpec {
  readonly cluster: string;
  readonly servicePort: number;
  /** Whether endpoints that offer mutual TLS are marked for the cluster's transport socket matches. */
  readonly marksTls: boolean;
  /** Undefined: all localities alike. */
  readonly spread: LocalitySpread | undefined;
}

const ASSIGNMENT = ClusterLoadAssignmentSchema.field;
const GROUP = LocalityLbEndpointsSchema.field;
const LB_ENDPOINT = LbEndpointSchema.field;
/** The only field of UInt32Value. */
const WRAPPED_VALUE = 1;

const OFFERS_MTLS = toBinary(
  MetadataSchema,
  create(MetadataSchema, { filterMetadata: { [SOCKET_MATCH]: { [TLS_MODE]: TLS_MODE_ISTIO } } }),
);

const HEALTH: Readonly<Record<Health, HealthStatus>> = {
  HEALTHY: HealthStatus.HEALTHY,
  UNHEALTHY: HealthStatus.UNHEALTHY,
  DRAINING: HealthStatus.DRAINING,
};

function open(writer: BinaryWriter, field: { readonly number: number }): BinaryWriter {
  return writer.tag(field.number, WireType.LengthDelimited).fork();
}

function writeText(writer: BinaryWriter, field: { readonly number: number }, text: string): void {
  if (text !== '') writer.tag(field.number, WireType.LengthDelimited).string(text);
}

function writeEndpoint(writer: BinaryWriter, endpoint: Endpoint, port: number, marksTls: boolean): void {
  open(writer, GROUP.lbEndpoints);
  open(writer, LB_ENDPOINT.endpoint);
  open(writer, EndpointSchema.field.address);
  const path = socketPath(endpoint.address);
  if (path === undefined) {
    open(writer, AddressSchema.field.socketAddress);
    writeText(writer, SocketAddressSchema.field.address, endpoint.address);
    writer.tag(SocketAddressSchema.field.portValue.number, WireType.Varint).uint32(port);
  } else {
    open(writer, AddressSchema.field.pipe);
    writeText(writer, PipeSchema.field.path, path);
  }
  writer.join().join().join();
  writer.tag(LB_ENDPOINT.healthStatus.number, WireType.Varint).int32(HEALTH[endpoint.health]);
  if (marksTls && endpoint.offersMtls)
    writer.tag(LB_ENDPOINT.metadata.number, WireType.LengthDelimited).bytes(OFFERS_MTLS);
  if (endpoint.weight !== 1)
    open(writer, LB_ENDPOINT.loadBalancingWeight).tag(WRAPPED_VALUE, WireType.Varint).uint32(endpoint.weight).join();
  writer.join();
}

interface Group {
  readonly locality: Locality;
  readonly tier: number;
  readonly endpoints: Endpoint[];
}

/** By locality and, where endpoints of one locality may differ in it, by tier. */
function byLocality({ servicePort, spread }: LoadAssignmentSpec, endpoints: readonly Endpoint[]): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const endpoint of endpoints) {
    if (endpoint.ports[servicePort] === undefined) continue;
    const { region, zone, subzone } = endpoint.locality;
    const tier = spread?.kind === 'failover' ? spread.tier(endpoint) : 0;
    const key = `${region}/${zone}/${subzone}${tier === 0 ? '' : ` ${tier}`}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { locality: endpoint.locality, tier, endpoints: [endpoint] });
    else group.endpoints.push(endpoint);
  }
  return [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

/** Shares have a fraction: Envoy's weights are whole, and a share may go to many localities. */
const WEIGHT_OF_PERCENT = 1000;

/** The weights of groups by the shares of their localities, within one share by their endpoints; undefined gets nothing. */
function shareWeights(groups: readonly Group[], to: Readonly<Record<string, number>>): readonly (number | undefined)[] {
  const patterns = Object.keys(to);
  const patternOf = groups.map(({ locality }) => patterns.find((pattern) => coversLocality(pattern, locality)));
  const sizes = groups.map(({ endpoints }) => endpoints.reduce((sum, { weight }) => sum + weight, 0));
  return patternOf.map((pattern, i) => {
    if (pattern === undefined) return undefined;
    const total = sizes.reduce((sum, size, j) => sum + (patternOf[j] === pattern ? size : 0), 0);
    return Math.max(1, Math.round((((to[pattern] ?? 0) * (sizes[i] ?? 0)) / total) * WEIGHT_OF_PERCENT));
  });
}

/** The serialised message. Endpoints that do not serve the port are left out, those that are not healthy stay, so marked. */
export function encodeLoadAssignment(spec: LoadAssignmentSpec, endpoints: readonly Endpoint[]): Uint8Array {
  const groups = byLocality(spec, endpoints);
  const { spread } = spec;
  const weights = spread?.kind === 'shares' ? shareWeights(groups, spread.to) : undefined;
  const priorities = withoutGaps(groups.map(({ tier }) => tier));
  const writer = new BinaryWriter();
  writeText(writer, ASSIGNMENT.clusterName, spec.cluster);
  for (const [i, { locality, endpoints: members }] of groups.entries()) {
    const weight = weights?.[i];
    if (weights !== undefined && weight === undefined) continue;
    open(writer, ASSIGNMENT.endpoints);
    open(writer, GROUP.locality);
    writeText(writer, LocalitySchema.field.region, locality.region);
    writeText(writer, LocalitySchema.field.zone, locality.zone);
    writeText(writer, LocalitySchema.field.subZone, locality.subzone);
    writer.join();
    for (const endpoint of members) {
      const port = endpoint.ports[spec.servicePort];
      if (port !== undefined) writeEndpoint(writer, endpoint, port, spec.marksTls);
    }
    if (weight !== undefined)
      open(writer, GROUP.loadBalancingWeight).tag(WRAPPED_VALUE, WireType.Varint).uint32(weight).join();
    const priority = priorities[i] ?? 0;
    if (priority > 0) writer.tag(GROUP.priority.number, WireType.Varint).uint32(priority);
    writer.join();
  }
  return writer.finish();
}
