/** The value of a patch, Envoy's JSON, as a message. */
import { type DescMessage, fromJson, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import { EXTENSIONS } from '../../envoy-api/extensions.ts';

const TYPED_STRUCT = 'type.googleapis.com/xds.type.v3.TypedStruct';

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Extensions that are not ours go through as they are written, for Envoy to read: it takes a `TypedStruct` for a
 * message of the type that this names. https://github.com/cncf/xds/blob/main/xds/type/v3/typed_struct.proto
 */
function withUnknownAsStructs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownAsStructs);
  if (!isObject(value)) return value;
  const { '@type': type, ...rest } = value;
  const known = typeof type === 'string' ? EXTENSIONS.getMessage(type.slice(type.lastIndexOf('/') + 1)) : undefined;
  if (typeof type === 'string' && known === undefined && !type.endsWith('TypedStruct'))
    return { '@type': TYPED_STRUCT, type_url: type, value: rest };
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      type === undefined || known !== undefined ? withUnknownAsStructs(member) : member,
    ]),
  );
}

/** @throws Error that names the field which the message does not have, or whose value it does not take */
export function patchValue<Desc extends DescMessage>(schema: Desc, value: unknown): MessageShape<Desc> {
  return fromJson(schema, withUnknownAsStructs(value) as JsonValue, { registry: EXTENSIONS });
}
