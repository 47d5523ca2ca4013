/**
 * docs/istio-api.md: every field of every kind, a row for each mapping. What stands in several places is told once, and what
 * is not supported in a table before the others.
 */
import { type FieldRow, fieldRows } from '../src/sources/field-table.ts';
import { KINDS, UNSUPPORTED_KINDS } from '../src/sources/kinds.ts';
import type { UnsupportedField } from '../src/sources/unsupported-fields.ts';

/** A field with those inside of it. */
interface Field {
  readonly row: FieldRow;
  readonly name: string;
  /** What the paths of those inside begin with, such as `http[]`; undefined: there are none. */
  readonly inside: string | undefined;
  readonly fields: readonly Field[];
}

const PATTERNS = ['exact', 'prefix', 'regex'];

/** Text for a cell of a table. */
export function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ');
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

/** The fields directly in `parent`, a path without its last name. */
function fieldsIn(parent: string, rows: readonly FieldRow[]): readonly Field[] {
  return rows
    .filter(({ path }) => parentOf(path) === parent && !path.endsWith('.*'))
    .map((row): Field => {
      const below = [row.path, `${row.path}[]`, `${row.path}.*`, `${row.path}.*[]`];
      const inside = below.find((path) => rows.some((other) => parentOf(other.path) === path));
      return {
        row,
        name: row.path.slice(parent === '' ? 0 : parent.length + 1),
        inside,
        fields: inside === undefined ? [] : fieldsIn(inside, rows),
      };
    });
}

/** What a field is, whatever it is called and wherever it stands. */
function signature({ fields, row }: Field): string {
  const limits = row.limits.map((limit) => [limitText(limit), limit.remedy]);
  return JSON.stringify([row.form, limits, fields.map((field) => [field.name, signature(field)])]);
}

function count(fields: readonly Field[]): number {
  return fields.reduce((sum, { fields: inside }) => sum + 1 + count(inside), 0);
}

function marked({ row }: Field, text: string): string {
  return row.limits.length === 0 ? text : `${text} (**limited**)`;
}

/** One field in the row of what it is in. */
function described(field: Field, told: ReadonlyMap<string, string>): string {
  const { name, row, fields, inside } = field;
  const before = inside === undefined ? undefined : told.get(signature(field));
  if (before !== undefined && before !== inside) return marked(field, `\`${name}\` as \`${before}\``);
  if (PATTERNS.every((each) => fields.some((inner) => inner.name === each)) && fields.length === PATTERNS.length)
    return marked(field, `\`${name}\` ${row.form.replace(/mapping$/, 'match')}`);
  const [only] = fields;
  if (only !== undefined && count(fields) === 1 && row.form === 'mapping')
    return marked(field, described({ ...only, name: `${name}.${only.name}` }, told));
  return marked(field, `\`${name}\` ${row.form}`);
}

/** Whether the fields inside have a row of their own. */
function hasRow({ fields, row }: Field): boolean {
  const patterns = fields.length === PATTERNS.length && fields.every(({ name }) => PATTERNS.includes(name));
  return fields.length > 0 && !patterns && !(count(fields) === 1 && row.form === 'mapping');
}

function* tableRows(inside: string, fields: readonly Field[], told: Map<string, string>): Generator<string> {
  const mine = fields.filter((field) => hasRow(field) && !told.has(signature(field)));
  for (const field of mine)
    if (field.inside !== undefined && !told.has(signature(field))) told.set(signature(field), field.inside);
  yield `| \`${inside}\` | ${cell(fields.map((field) => described(field, told)).join(' · '))} |`;
  for (const field of mine)
    if (field.inside !== undefined && told.get(signature(field)) === field.inside)
      yield* tableRows(field.inside, field.fields, told);
}

function limitText({ effect, only, except, matching }: UnsupportedField): string {
  const values = [
    ...(only === undefined ? [] : [only.join(', ')]),
    ...(except === undefined ? [] : [`other than ${except.join(', ')}`]),
    ...(matching === undefined ? [] : [matching.name]),
  ].join('; ');
  return `${effect === 'refused' ? '**refused**' : 'no effect'}${values === '' ? '' : ` (${values})`}`;
}

/** Rows of what is not supported, each rule once, at the first place where it holds. */
function limitRows(rows: readonly FieldRow[]): readonly string[] {
  const seen = new Set<string>();
  return rows.flatMap(({ path, limits }) =>
    limits
      .filter((limit) => {
        const key = `${path.slice(path.lastIndexOf('.') + 1)} ${limitText(limit)} ${limit.remedy}`;
        return !seen.has(key) && seen.add(key);
      })
      .map((limit) => `| \`${path}\` | ${cell(limitText(limit))} | ${cell(limit.remedy)} |`),
  );
}

function kindSection(kind: (typeof KINDS)[string]): string {
  const rows = fieldRows(kind);
  const limits = limitRows(rows);
  return [
    `## ${kind.kind}`,
    '',
    `\`${kind.apiVersions.join('`, `')}\`${limits.length === 0 ? '. Every field works.' : ''}`,
    '',
    ...(limits.length === 0 ? [] : ['| limited | how | instead |', '|---|---|---|', ...limits, '']),
    '| in | fields |',
    '|---|---|',
    ...tableRows('spec', fieldsIn('', rows), new Map()),
    '',
  ].join('\n');
}

/**
 * The page on all fields of all kinds.
 * @param notice says where the page comes from
 */
export function apiPage(notice: string): string {
  return `# The API, field by field

${notice}

What Trysail does with each field of each kind: as Istio documents it, or as [resources.md](resources.md) and the pages on
traffic do for our own kinds. What is limited stands first:

- **refused**: the resource is not applied, since it would do something else than it says (\`TRY0003\`); its last good version
  stays;
- no effect: the rest is applied (\`TRY0005\`).

A rule that holds in several places stands at the first. \`[]\` stands for every element of a list, \`*\` for every key; "as"
leads to where the same fields stand; a match is a mapping with one of \`exact\`, \`prefix\`, \`regex\`. Fields may be written in
Protobuf's spelling too (\`per_try_timeout\`).

${Object.values(KINDS).map(kindSection).join('\n')}
## Kinds that are known and not supported

${Object.entries(UNSUPPORTED_KINDS)
  .map(([kind, group]) => `- \`${kind}\` (${group})`)
  .join('\n')}

A resource of such a kind is refused with an error (\`TRY0003\`), and protects and changes nothing.
`;
}
