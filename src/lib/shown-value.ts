/** A value of YAML as a complaint quotes it: short, on one line, and never the content of a list or a mapping. */

/** Longest text that is shown, in characters. */
const MOST_SHOWN = 80;

/** A UUID (what Consul's tokens are), a PEM block, or a long run of letters and digits with no word in it. */
const MAY_BE_SECRET =
  /^\s*[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*$|-----BEGIN |(?=[A-Za-z_+=-]*\d)(?=[\d_+=-]*[A-Za-z])[A-Za-z\d_+=-]{40}/i;

/**
 * `"80"`, `80`, `true`, `.inf` for scalars (long text cut off), `a list`, `a mapping`; `an empty value` for null.
 * What may be a secret in the wrong place is not shown, nor is the password inside of a URL.
 */
export function shownValue(value: unknown): string {
  if (value === null || value === undefined) return 'an empty value';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'string': {
      if (MAY_BE_SECRET.test(value.slice(0, 2 * MOST_SHOWN))) return `a text that may be a secret`;
      const safe = value.replaceAll(/:\/\/[^/@\s]*@/g, '://…@');
      return JSON.stringify(safe.length > MOST_SHOWN ? `${safe.slice(0, MOST_SHOWN - 3)}…` : safe);
    }
    case 'number':
      if (Number.isNaN(value)) return '.nan';
      return Number.isFinite(value) ? String(value) : `${value < 0 ? '-' : ''}.inf`;
    case 'boolean':
    case 'bigint':
      return String(value);
    default:
      return 'a mapping';
  }
}

/** As `shownValue`, and of which type it is where the value alone may not tell: `"80" (a string)`. */
export function shownWithType(value: unknown): string {
  const shown = shownValue(value);
  const isScalar = typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);
  return isScalar && !shown.startsWith('a ') ? `${shown} (a ${typeof value})` : shown;
}
