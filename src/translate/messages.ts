/** Making protobuf messages: packing extensions into Any, durations, serialised resources. */
import { create, type DescMessage, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { Any, Duration } from '@bufbuild/protobuf/wkt';
import { AnySchema, DurationSchema } from '@bufbuild/protobuf/wkt';
import type { Resource } from '../xds/resource.ts';

/** The fields of a message that is not made yet: they can be copied. */
export type Fields<Desc extends DescMessage> = Exclude<MessageInitShape<Desc>, MessageShape<Desc>>;

/** An extension's configuration as Envoy expects it. */
export function pack<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Any {
  return create(AnySchema, {
    typeUrl: `type.googleapis.com/${schema.typeName}`,
    value: toBinary(schema, create(schema, init)),
  });
}

export function duration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) });
}

export function optionalDuration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : duration(ms);
}

export function resource<Desc extends DescMessage>(name: string, schema: Desc, init: MessageInitShape<Desc>): Resource {
  return { name, value: toBinary(schema, create(schema, init)) };
}
