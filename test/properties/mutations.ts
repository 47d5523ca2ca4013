/** YAML of resources with faults at random: in its structure, or in its bytes. */
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import type { Written } from './words.ts';

const DEEP = 200;

function nested(depth: number): unknown {
  let value: unknown = {};
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** What may stand where something else should. */
const HOSTILE: readonly unknown[] = [
  null,
  '',
  ' ',
  0,
  -1,
  1.5,
  65_536,
  4_294_967_296,
  Number.MAX_SAFE_INTEGER,
  1e308,
  Number.POSITIVE_INFINITY,
  Number.NaN,
  true,
  [],
  {},
  [null],
  { '': null },
  '\0',
  '😀',
  '\u202e',
  '\ud800',
  'ﬀ',
  'a'.repeat(5000),
  '__proto__',
  'constructor',
  'toString',
  JSON.parse('{"__proto__": {"a": 1}}'),
  JSON.parse('{"constructor": {"prototype": 1}}'),
  new Date(0),
  '*',
  '*.',
  '.',
  '~',
  '/',
  '%',
  '%%',
  '(',
  'a\nb',
  '999999999999h',
  '1e9s',
  '256.1.1.1',
  '0.0.0.0/0',
  '::',
  'spiffe://',
  'unix://',
  nested(20),
  nested(DEEP),
];
const hostile = fc.constantFrom(...HOSTILE);

/** What somebody may write instead, by mistake or at a limit. */
function alike(old: unknown): readonly unknown[] {
  if (typeof old === 'number')
    return [0, -1, 1, 2, 100, 101, 65_535, 65_536, 2_147_483_647, 2_147_483_648, 4_294_967_295, 4_294_967_296, 0.5];
  if (typeof old === 'boolean') return [!old];
  if (typeof old === 'string') {
    if (/^[\d.]+(?:ms|[smh])$/.test(old)) return ['0s', '1ms', '1.0001s', '-1s', '876000h', '876001h', '99999999h'];
    const upper = old.toUpperCase();
    const around = [`${old}.`, ` ${old}`, `${old}%`, `*${old}`, `${old}/`, `${old}|`, `${old}${old}`, `%REQ(${old})%`];
    return [upper, ...around, old.slice(1), '*.example.com', '10.0.0.0/8', 'x'.repeat(300), 'ä', '\\1', '*', '.*'];
  }
  if (Array.isArray(old)) return [[], [...(old as unknown[]), ...(old as unknown[])], old.toReversed(), old.slice(1)];
  if (typeof old === 'object' && old !== null)
    return [{}, { ...old, extra: 1 }, Object.fromEntries(Object.entries(old).slice(1))];
  return HOSTILE;
}

type Step = string | number;

/** Every place in a value. */
function places(value: unknown, base: readonly Step[] = []): readonly (readonly Step[])[] {
  if (typeof value !== 'object' || value === null) return [base];
  const inner = Array.isArray(value)
    ? value.flatMap((one: unknown, i) => places(one, [...base, i]))
    : Object.entries(value).flatMap(([key, one]) => places(one, [...base, key]));
  return [base, ...inner];
}

/** A copy in which what stands at `path` is what `change` makes of it; nothing for undefined. */
function changed(value: unknown, path: readonly Step[], change: (old: unknown) => readonly unknown[]): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return change(value)[0];
  if (Array.isArray(value))
    return value.flatMap((one: unknown, i) =>
      i !== step ? [one] : rest.length === 0 ? change(one) : [changed(one, rest, change)],
    );
  return Object.fromEntries(
    Object.entries(value as object).flatMap(([key, one]): [string, unknown][] => {
      if (key !== step) return [[key, one]];
      if (rest.length > 0) return [[key, changed(one, rest, change)]];
      // Of two of one name an object keeps the last; a copy gets another name.
      return change(one).map((made, i) => [i === 0 ? key : `${key}${i}`, made]);
    }),
  );
}

const aFault = fc.record({
  at: fc.nat(),
  change: fc.oneof(
    { weight: 2, arbitrary: fc.constant(() => []) },
    { weight: 2, arbitrary: fc.constant((old: unknown) => [old, old]) },
    { weight: 3, arbitrary: hostile.map((value) => () => [value]) },
    {
      weight: 6,
      arbitrary: fc.nat().map((i) => (old: unknown) => {
        const all = alike(old);
        return [all[i % all.length]];
      }),
    },
  ),
});

/** One or two faults in the structure, mostly inside of the spec. */
export function structurally(resource: Written): fc.Arbitrary<unknown> {
  return fc
    .tuple(
      fc.nat(4).map((i) => i === 0),
      fc.array(aFault, { minLength: 1, maxLength: 2 }),
    )
    .map(([anywhere, faults]) => {
      let value: unknown = resource;
      for (const { at, change } of faults) {
        const all = places(value).filter(([first, second]) => anywhere || (first === 'spec' && second !== undefined));
        value = changed(value, all[at % all.length] ?? [], change);
      }
      return value;
    });
}

const INSERTED = [
  '',
  'x',
  '[',
  '}',
  ':',
  '\n',
  '\r\n',
  '\t',
  '"',
  "'",
  '- ',
  '{}',
  '&a ',
  '*a',
  '!!binary ',
  '<<: *a',
  '? ',
  '|\n',
  '---\n',
  '...\n',
  '%YAML 1.1\n',
  '\0',
  '\ufeff',
  '😀',
  '\u2028',
] as const;

/** Cuts and insertions in a text. */
function textually(text: string): fc.Arbitrary<string> {
  const cut = fc.record({ at: fc.nat(), length: fc.nat(8), insert: fc.constantFrom(...INSERTED) });
  return fc.array(cut, { minLength: 1, maxLength: 4 }).map((cuts) => {
    let result = text;
    for (const { at, length, insert } of cuts) {
      const from = at % (result.length + 1);
      result = result.slice(0, from) + insert + result.slice(from + length);
    }
    return result;
  });
}

function bomb(): string {
  const lines = ['a: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++)
    lines.push(`a${i}: &a${i} [${Array.from({ length: 9 }, () => `*a${i - 1}`).join(', ')}]`);
  return `${lines.join('\n')}\n`;
}

/** Texts that are of no resource. */
const NONSENSE = [
  '',
  '\0',
  '\ufeff',
  '---\n---\n---\n',
  'null\n',
  '[]\n',
  '"',
  '&a [*a]\n',
  '*a\n',
  bomb(),
  `${'['.repeat(5000)}\n`,
  `${'{a: '.repeat(5000)}\n`,
  `${'- '.repeat(3000)}x\n`,
  'kind: List\nitems: [null, 1, [], {}, {kind: List, items: []}]\n',
  'kind: VirtualServiceList\nitems: &a [*a]\n',
  'apiVersion: networking.istio.io/v1\nkind: __proto__\nmetadata: {name: constructor}\n',
  'apiVersion: __proto__\nkind: constructor\nmetadata: {name: a, namespace: __proto__}\nspec: {}\n',
  'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, labels: {__proto__: a}}\nspec: {__proto__: {}}\n',
  '!!js/function x\n',
  '? [a, b]\n: c\n',
] as const;

/** A file of some resources with faults. */
export function mutated(resources: readonly Written[]): fc.Arbitrary<string> {
  const documents = fc.tuple(
    ...resources.map((resource) =>
      fc.oneof(
        { weight: 3, arbitrary: structurally(resource).map((value) => stringify(value)) },
        { weight: 2, arbitrary: textually(stringify(resource)) },
        { weight: 1, arbitrary: fc.constant(stringify(resource)) },
        { weight: 1, arbitrary: fc.constantFrom(...NONSENSE) },
      ),
    ),
  );
  return documents.map((texts) => texts.join('---\n'));
}
