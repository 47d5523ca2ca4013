/** Merging protobuf messages as Istio's EnvoyFilter does: what the patch sets, and nothing else. */
import {
  create,
  type DescMessage,
  fromBinary,
  isMessage,
  type MessageShape,
  type Registry,
  toBinary,
} from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';

export interface MergeOptions {
  readonly extensions: Registry;
  /** `append`: lists grow. `replace`: a list of the patch takes the place of the other, but inside of extensions. */
  readonly lists: 'append' | 'replace';
}

/** Messages that are one value: they are replaced whole. */
const VALUES = new Set([
  'google.protobuf.Duration',
  'google.protobuf.Timestamp',
  'google.protobuf.Struct',
  'google.protobuf.Value',
]);

function isOneValue({ typeName }: DescMessage): boolean {
  return VALUES.has(typeName) || /^google\.protobuf\.\w+Value$/.test(typeName);
}

function extensionOf(any: Any, extensions: Registry): DescMessage | undefined {
  return extensions.getMessage(any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1));
}

/** Two configurations of one type become one; of another type, or of one that is not known, the patch's holds. */
function mergedAny(target: Any, patch: Any, { extensions }: MergeOptions): Any {
  const schema = target.typeUrl === patch.typeUrl ? extensionOf(target, extensions) : undefined;
  if (schema === undefined) return patch;
  const merged = mergeMessage(schema, fromBinary(schema, target.value), fromBinary(schema, patch.value), {
    extensions,
    lists: 'append',
  });
  return create(AnySchema, { typeUrl: target.typeUrl, value: toBinary(schema, merged) });
}

function mergeInto(target: ReflectMessage, patch: ReflectMessage, options: MergeOptions): void {
  for (const field of patch.fields) {
    if (!patch.isSet(field)) continue;
    if (field.fieldKind === 'list') {
      const list = target.get(field);
      if (options.lists === 'replace') list.clear();
      for (const item of patch.get(field)) list.add(item);
    } else if (field.fieldKind === 'map') {
      const map = target.get(field);
      for (const [key, value] of patch.get(field)) map.set(key, value);
    } else if (field.fieldKind === 'message' && !isOneValue(field.message) && target.isSet(field)) {
      const into = target.get(field);
      const from = patch.get(field);
      if (isMessage(into.message, AnySchema) && isMessage(from.message, AnySchema))
        target.set(field, reflect(AnySchema, mergedAny(into.message, from.message, options)));
      else mergeInto(into, from, options);
    } else {
      target.set(field, patch.get(field));
    }
  }
}

/**
 * `target` itself, with all that `patch` sets: scalars overwrite, messages merge, lists append or are replaced, maps are
 * joined. A zero, false or empty text of the patch is not set in proto3, and so changes nothing.
 * https://istio.io/latest/docs/reference/config/networking/envoy-filter/#EnvoyFilter-Patch-Operation
 */
export function mergeMessage<Desc extends DescMessage>(
  schema: Desc,
  target: MessageShape<Desc>,
  patch: MessageShape<Desc>,
  options: MergeOptions,
): MessageShape<Desc> {
  mergeInto(reflect(schema, target), reflect(schema, patch), options);
  return target;
}
