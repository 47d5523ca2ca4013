/** The settings as a flat list: what flags, environment variables and the documentation are made of. */
import type * as z from 'zod/mini';
import { noteOf } from './setting-definition.ts';
import type { Form } from './setting-forms.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

/** One setting, or a heading above several. */
export interface Setting {
  /** As in `services[].check.http`. */
  readonly path: string;
  readonly about: string;
  /** Undefined for a heading. */
  readonly form: Form<unknown> | undefined;
  /** What holds when it is absent; undefined: it is required (or a heading). */
  readonly absent: string | undefined;
  /** Such as `--consul-address`; undefined for headings, lists and what is in them. */
  readonly flag: string | undefined;
  /** Such as `TRYSAIL_CONSUL_ADDRESS`. */
  readonly variable: string | undefined;
}

function words(path: string): readonly string[] {
  return path.split('.').flatMap((part) => part.split(/(?=[A-Z])/).map((word) => word.toLowerCase()));
}

/** What holds for a list or map of values that is absent. */
const EMPTY = 'empty';

type Described = Pick<Setting, 'path' | 'about' | 'form' | 'absent'>;

function named(setting: Described, settable: boolean): Setting {
  const parts = words(setting.path);
  return {
    ...setting,
    flag: settable ? `--${parts.join('-')}` : undefined,
    variable: settable ? `TRYSAIL_${parts.join('_').toUpperCase()}` : undefined,
  };
}

function walk(shape: Readonly<Record<string, z.core.$ZodType>>, base: string, settable: boolean): readonly Setting[] {
  const found: Setting[] = [];
  for (const [key, schema] of Object.entries(shape)) {
    const note = noteOf(schema);
    if (note === undefined) throw new Error(`setting ${base}${key} has no description`);
    const path = `${base}${key}`;
    const { about } = note;
    switch (note.kind) {
      case 'section':
      case 'list':
        found.push(named({ path, about, form: undefined, absent: undefined }, false));
        found.push(
          ...walk(note.children, note.kind === 'list' ? `${path}[].` : `${path}.`, settable && note.kind === 'section'),
        );
        break;
      case 'map':
        found.push(named({ path, about, form: note.form, absent: note.absent ?? EMPTY }, false));
        break;
      case 'value':
        found.push(named({ path, about, form: note.form, absent: note.absent }, settable));
        break;
    }
  }
  return found;
}

/** Every setting in the order of the schema. */
export const SETTINGS: readonly Setting[] = walk(SETTINGS_SCHEMA.shape, '', true);

/** The setting at a path of a document, such as `services[0].labels.team`. */
export function settingAt(path: string): Setting | undefined {
  const pattern = path.replaceAll(/\[\d+\]/g, '[]');
  return SETTINGS.find(
    (setting) =>
      setting.path === pattern ||
      `${setting.path}[]` === pattern ||
      (setting.absent === EMPTY && pattern.startsWith(setting.path)),
  );
}
