/**
 * Endpoints of a cluster as a ClusterLoadAssignment. Encoded by hand with the schema's field numbers: this is what
 * every change of an instance costs, and the general encoder takes fifty times as long.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AddressSchema, PipeSchema, SocketAddressSchema } from '../gen/envoy/config/core/v3/address_pb.ts';
import { LocalitySchema, MetadataSchema } from '../gen/envoy/config/core/v3/base_pb.ts';
import { HealthStatus } from '../gen/envoy/config/core/v3/health_check_pb.ts';
import {
  EndpointSchema,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { Endpoint, Health, Locality } from '../model/service.ts';
import { SOCKET_MATCH, TLS_MODE, TLS_MODE_ISTIO } from './cluster-security.ts';
import { distance, withoutGaps } from './locality-priority.ts';
import { socketPath } from './socket-path.ts';

export interface LoadAssignmentSpec {
  readonly cluster: string;
  readonly servicePort: number;
  /** Whether endpoints that offer mutual TLS are marked for the cluster's transport socket matches. */
  readonly marksTls: boolean;
  /** Undefined: all localities alike. Else nearer ones are preferred. */
  readonly failoverFrom: Locality | undefined;
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
  readonly endpoints: Endpoint[];
}

function byLocality(endpoints: readonly Endpoint[], servicePort: number): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const endpoint of endpoints) {
    if (endpoint.ports[servicePort] === undefined) continue;
    const { region, zone, subzone } = endpoint.locality;
    const key = `${region}/${zone}/${subzone}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { locality: endpoint.locality, endpoints: [endpoint] });
    else group.endpoints.push(endpoint);
  }
  return [...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
}

/** The serialised message. Endpoints that do not serve the port are left out, those that are not healthy stay, so marked. */
export function encodeLoadAssignment(spec: LoadAssignmentSpec, endpoints: readonly Endpoint[]): Uint8Array {
  const groups = byLocality(endpoints, spec.servicePort);
  const { failoverFrom } = spec;
  const priorities =
    failoverFrom === undefined ? [] : withoutGaps(groups.map((group) => distance(failoverFrom, group.locality)));
  const writer = new BinaryWriter();
  writeText(writer, ASSIGNMENT.clusterName, spec.cluster);
  for (const [i, { locality, endpoints: members }] of groups.entries()) {
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
    const priority = priorities[i] ?? 0;
    if (priority > 0) writer.tag(GROUP.priority.number, WireType.Varint).uint32(priority);
    writer.join();
  }
  return writer.finish();
}
