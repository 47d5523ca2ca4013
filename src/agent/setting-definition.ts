/**
 * How a setting is defined: once, as a schema that carries its description. From that one definition come the file key,
 * the flag, the environment variable, the default and the documentation.
 */
import * as z from 'zod/mini';
import { shownValue, shownWithType } from '../lib/shown-value.ts';
import type { Form } from './setting-forms.ts';

type Children = Readonly<Record<string, z.core.$ZodType>>;

/** What a schema of `settings-schema.ts` says of itself. */
export type SettingNote =
  | { readonly kind: 'section' | 'list'; readonly about: string; readonly children: Children }
  | {
      readonly kind: 'map';
      readonly about: string;
      readonly form: Form<unknown>;
      /** What holds when it is absent; undefined: it is empty. */
      readonly absent?: string;
    }
  | {
      readonly kind: 'value';
      readonly about: string;
      readonly form: Form<unknown>;
      /** What holds when it is absent, for people; undefined: it is required. */
      readonly absent: string | undefined;
    };

// Not zod's registry: it rewrites the types of what it holds.
const NOTES = new WeakMap<z.core.$ZodType, SettingNote>();

/** The note of a schema that one of the functions below made. */
export function noteOf(schema: z.core.$ZodType): SettingNote | undefined {
  return NOTES.get(schema);
}

/** What may have been meant by a value of the wrong type: a number in quotes, a text without. */
function unquotedOrQuoted(form: Form<unknown>, input: unknown): string | undefined {
  if (typeof input === 'number' || typeof input === 'boolean')
    return form.parse(String(input)) === undefined ? undefined : 'Put it in quotes.';
  if (typeof input !== 'string' || form.fromText === undefined) return undefined;
  const value = form.fromText(input);
  return form.parse(value) === undefined ? undefined : `Write it without quotes: ${String(value)}.`;
}

function schemaOf<T>(form: Form<T>): z.ZodMiniType<T> {
  return z.pipe(
    z.unknown(),
    z.transform((input, context): T => {
      const value = form.parse(input);
      if (value !== undefined) return value;
      const quotes = unquotedOrQuoted(form, input);
      const shown = quotes === undefined ? shownValue(input) : shownWithType(input);
      const message = `${shown} is not ${form.noun}`;
      const meant = form.suggest?.(input);
      const remedy = meant === undefined ? quotes : `Did you mean "${meant}"?`;
      context.issues.push({ code: 'custom', message, input, params: remedy === undefined ? {} : { remedy } });
      return z.NEVER;
    }),
  );
}

function note<S extends z.core.$ZodType>(schema: S, value: SettingNote): S {
  NOTES.set(schema, value);
  return schema;
}

/** A value that must be there. */
export function required<T>(form: Form<T>, about: string): z.ZodMiniType<T> {
  return note(schemaOf(form), { kind: 'value', about, form, absent: undefined });
}

/** A value that may be absent; `absent` says what holds then. */
export function optional<T>(form: Form<T>, about: string, absent: string): z.ZodMiniOptional<z.ZodMiniType<T>> {
  return note(z.optional(schemaOf(form)), { kind: 'value', about, form, absent });
}

/** A value with a fixed default, written as in the file. */
export function defaulted<T>(
  form: Form<T>,
  fallback: string | number | boolean,
  about: string,
): z.ZodMiniPrefault<z.ZodMiniType<T>> {
  return note(z.prefault(schemaOf(form), fallback), { kind: 'value', about, form, absent: `\`${fallback}\`` });
}

/** A map of known keys that may be absent altogether. */
export function section<S extends z.core.$ZodShape>(
  about: string,
  shape: S,
): z.ZodMiniPrefault<z.ZodMiniObject<S, z.core.$strict>> {
  const schema = z.prefault(z.strictObject(shape), {} as never);
  return note(schema, { kind: 'section', about, children: shape });
}

/** As `section`, but undefined when absent. */
export function optionalSection<S extends z.core.$ZodShape>(
  about: string,
  shape: S,
): z.ZodMiniOptional<z.ZodMiniObject<S, z.core.$strict>> {
  return note(z.optional(z.strictObject(shape)), { kind: 'section', about, children: shape });
}

/** A list of maps. */
export function list<S extends z.core.$ZodShape>(
  about: string,
  shape: S,
): z.ZodMiniPrefault<z.ZodMiniArray<z.ZodMiniObject<S, z.core.$strict>>> {
  const items = z.array(z.strictObject(shape));
  return note(z.prefault(items, []), { kind: 'list', about, children: shape });
}

/** A list of plain values; `fallback`, written as in the file, when it is absent. */
export function listOf<T>(
  form: Form<T>,
  about: string,
  fallback: readonly string[] = [],
): z.ZodMiniPrefault<z.ZodMiniArray<z.ZodMiniType<T>>> {
  const items = z.array(schemaOf(form));
  return note(z.prefault(items, [...fallback] as never), {
    kind: 'map',
    about,
    form,
    ...(fallback.length === 0 ? {} : { absent: fallback.map((value) => `\`${value}\``).join(', ') }),
  });
}

/** A map with keys of the user's choice. */
export function mapOf<T>(
  form: Form<T>,
  about: string,
): z.ZodMiniPrefault<z.ZodMiniRecord<z.ZodMiniString, z.ZodMiniType<T>>> {
  const entries = z.record(z.string(), schemaOf(form));
  return note(z.prefault(entries, {}), { kind: 'map', about, form });
}
