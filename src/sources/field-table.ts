/** Every field of a kind and what becomes of it, read off its schema and its table of what is not supported. */
import type * as z from 'zod/mini';
import type { Kind } from './kinds/kind.ts';
import type { UnsupportedField } from './unsupported-fields.ts';

export interface FieldRow {
  /** Below `spec`; `[]` stands for every element, `*` for every key. */
  readonly path: string;
  /** What may stand there: `text`, `number`, `duration`, `one of A, B`, `list of text`, `mapping`, … */
  readonly form: string;
  /** What of it is not supported; empty: it works as Istio documents it. */
  readonly limits: readonly UnsupportedField[];
}

interface Shape {
  readonly form: string;
  readonly fields: readonly (readonly [name: string, schema: z.core.$ZodType])[];
  /** What is between the field and those inside of it. */
  readonly between: string;
}

function shapeOf(schema: z.core.$ZodType): Shape {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const plain = (form: string): Shape => ({ form, fields: [], between: '' });
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'readonly':
      return shapeOf(def.innerType);
    case 'array': {
      const element = shapeOf(def.element);
      return { form: `list of ${element.form}`, fields: element.fields, between: `[]${element.between}` };
    }
    case 'record': {
      const value = shapeOf(def.valueType);
      return { form: `mapping to ${value.form}`, fields: value.fields, between: `.*${value.between}` };
    }
    case 'object':
      return { form: 'mapping', fields: Object.entries(def.shape), between: '' };
    case 'enum':
      return plain(`one of ${Object.values(def.entries).join(', ')}`);
    case 'union':
      return plain([...new Set(def.options.map((option) => shapeOf(option).form))].join(' or '));
    case 'pipe':
      // What takes anything to judge it by itself is a duration.
      return plain(def.in._zod.def.type === 'unknown' ? 'duration' : shapeOf(def.in).form);
    case 'string':
      return plain('text');
    case 'boolean':
    case 'number':
      return plain(def.type);
    default:
      return plain('anything');
  }
}

function* rows(schema: z.core.$ZodType, prefix: string, limits: readonly UnsupportedField[]): Generator<FieldRow> {
  for (const [name, field] of shapeOf(schema).fields) {
    const path = `${prefix}${name}`;
    const { form, fields, between } = shapeOf(field);
    const own = limits.filter((limit) => limit.path === path || limit.path === `${path}[]`);
    yield { path, form, limits: own };
    if (fields.length > 0) yield* rows(field, `${path}${between}.`, limits);
  }
}

/** In the order of the schema, each field before those inside of it. */
export function fieldRows({ schema, unsupported }: Pick<Kind<unknown>, 'schema' | 'unsupported'>): readonly FieldRow[] {
  return [...rows(schema, '', unsupported)];
}
