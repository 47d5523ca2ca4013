/** Serialised resources as Envoy's JSON, with the names of the protos. */
import { fromBinary, type JsonObject, type JsonValue, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.ts';
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { EXTENSIONS } from './extensions.ts';

const SCHEMAS = [ClusterSchema, ClusterLoadAssignmentSchema, ListenerSchema, RouteConfigurationSchema, SecretSchema];

/** Whether a JSON value is an object: neither null nor a list. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param typeUrl of a cluster, load assignment, listener, route configuration or secret
 * @throws Error for another type, for bytes that are none, and for an extension that is not known here
 */
export function resourceJson(typeUrl: string, value: Uint8Array): JsonObject {
  const schema = SCHEMAS.find(({ typeName }) => typeUrl.endsWith(`/${typeName}`));
  if (schema === undefined) throw new Error(`no schema for ${typeUrl}`);
  const json = toJson(schema, fromBinary(schema, value), { registry: EXTENSIONS, useProtoFieldName: true });
  if (!isObject(json)) throw new Error(`${typeUrl} is no message`);
  return json;
}
