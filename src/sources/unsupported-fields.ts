/**
 * The parts of Istio's API that are known and not supported, as tables: one a kind. What is in a table gets a
 * diagnostic; docs/istio-api.md is made of them.
 */
import type { Path } from '../lib/yaml-document.ts';

export interface UnsupportedField {
  /** Below `spec`; `[]` stands for every element, such as `http[].fault`. */
  readonly path: string;
  /** `refused`: the resource is not applied. `ignored`: it is applied without the field, which changes no decision. */
  readonly effect: 'refused' | 'ignored';
  /** Values that are meant; without `only`, `matching` and `except` every value is. */
  readonly only?: readonly string[];
  /** The form of the values that are meant, and what to call it. */
  readonly matching?: { readonly pattern: RegExp; readonly name: string };
  /** Values that are supported after all. */
  readonly except?: readonly string[];
  /** What to do instead, one imperative sentence. */
  readonly remedy: string;
  /** What is said of a refused field, after its name; absent: that it is Istio's and not supported yet. */
  readonly why?: string;
}

/** A table row without its own remedy. */
export function refused(path: string, remedy = 'Remove it.'): UnsupportedField {
  return { path, effect: 'refused', remedy };
}

/** The same for a field without which the rest of its resource means what it says. */
export function ignored(path: string, remedy = 'Remove it.'): UnsupportedField {
  return { path, effect: 'ignored', remedy };
}

function* matches(value: unknown, steps: readonly string[], at: Path): Generator<readonly [Path, unknown]> {
  const [step, ...rest] = steps;
  if (step === undefined) {
    yield [at, value];
  } else if (step === '[]') {
    if (Array.isArray(value)) for (const [i, element] of value.entries()) yield* matches(element, rest, [...at, i]);
  } else if (typeof value === 'object' && value !== null && Object.hasOwn(value, step)) {
    yield* matches((value as Readonly<Record<string, unknown>>)[step], rest, [...at, step]);
  }
}

/** Every use of a field of `table` in `spec`, with its path below `spec`. */
export function findUnsupported(
  table: readonly UnsupportedField[],
  spec: unknown,
): readonly { readonly field: UnsupportedField; readonly path: Path; readonly value: unknown }[] {
  return table.flatMap((field) => {
    const steps = field.path.replaceAll('[]', '.[]').split('.');
    return [...matches(spec, steps, [])]
      .filter(([, value]) => value !== undefined)
      .filter(([, value]) => field.only === undefined || field.only.includes(String(value)))
      .filter(([, value]) => field.matching === undefined || field.matching.pattern.test(String(value)))
      .filter(([, value]) => !(field.except?.includes(String(value)) ?? false))
      .map(([path, value]) => ({ field, path, value }));
  });
}
