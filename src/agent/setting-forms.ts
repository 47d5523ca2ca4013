/** The forms that a setting's value can take: each reads raw YAML (or a flag's text) and says what it expects. */
import { parseDurationMs } from '../lib/duration.ts';
import { nearest } from '../lib/nearest.ts';
import type { Locality } from '../model/service.ts';

/** How one kind of value is read and described. */
export interface Form<T> {
  /** What it must be, as in "is not a duration". */
  readonly noun: string;
  /** One valid value, for the remedy. */
  readonly example: string;
  /** The value, or undefined when `input` (plain YAML data) does not have the form. */
  parse(input: unknown): T | undefined;
  /** What was probably meant, where the values can be listed. */
  suggest?(input: unknown): string | undefined;
  /** A flag's or environment variable's text as YAML data; the text itself when absent. */
  fromText?(text: string): unknown;
}

const textMatching = (noun: string, example: string, pattern: RegExp): Form<string> => ({
  noun,
  example,
  parse: (input) => (typeof input === 'string' && pattern.test(input) ? input : undefined),
});

/** Any text that is not empty. */
export const TEXT = textMatching('text (a number needs quotes)', '"v1"', /\S/);

/** A name of a service or a namespace: a DNS label without `--`, which parts the two in Consul. */
export const DNS_LABEL: Form<string> = {
  noun: 'a DNS label (lower-case letters, digits and single "-", at most 63)',
  example: 'reviews',
  parse: (input) =>
    typeof input === 'string' && /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(input) && !input.includes('--')
      ? input
      : undefined,
};

/** One segment of a SPIFFE id's path. */
export const SPIFFE_SEGMENT: Form<string> = {
  noun: 'a name that a SPIFFE id can hold (letters, digits, ".", "_" and "-")',
  example: 'reviews',
  parse: (input) =>
    typeof input === 'string' && /^[A-Za-z0-9._-]{1,253}$/.test(input) && !/^\.{1,2}$/.test(input) ? input : undefined,
};

/** `namespace/service account`, or both by name in a map. */
export const ACCOUNT: Form<{ readonly namespace: string; readonly serviceAccount: string }> = {
  noun: 'a namespace and a service account with "/" between them',
  example: 'default/reviews',
  parse: (input) => {
    const text = typeof input === 'object' && input !== null ? accountText(input) : input;
    if (typeof text !== 'string') return undefined;
    const [namespace, serviceAccount, ...rest] = text.split('/');
    if (
      rest.length > 0 ||
      DNS_LABEL.parse(namespace) === undefined ||
      SPIFFE_SEGMENT.parse(serviceAccount) === undefined
    )
      return undefined;
    return { namespace: namespace ?? '', serviceAccount: serviceAccount ?? '' };
  },
};

function accountText(map: object): string | undefined {
  if (Object.keys(map).toSorted().join() !== 'namespace,serviceAccount') return undefined;
  const { namespace, serviceAccount } = map as { readonly namespace: unknown; readonly serviceAccount: unknown };
  return `${String(namespace)}/${String(serviceAccount)}`;
}

/** A whole number within bounds. */
export function wholeNumber(noun: string, min: number, max: number, example: string): Form<number> {
  return {
    noun: `${noun} from ${min} to ${max}`,
    example,
    parse: (input) =>
      typeof input === 'number' && Number.isInteger(input) && input >= min && input <= max ? input : undefined,
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
  };
}

export const PORT = wholeNumber('a port', 1, 65_535, '9080');

export const FLAG: Form<boolean> = {
  noun: 'true or false',
  example: 'true',
  parse: (input) => (typeof input === 'boolean' ? input : undefined),
  fromText: (text) => (text === 'true' ? true : text === 'false' ? false : text),
};

/** One word of a fixed list. */
export function oneOf<const T extends string>(...words: readonly [T, ...T[]]): Form<T> {
  return {
    noun: `one of ${words.join(', ')}`,
    example: words[0],
    suggest: (input) => (typeof input === 'string' ? nearest(input, words) : undefined),
    parse: (input) => words.find((word) => word === input),
  };
}

/** A duration of at least `minMs`, as milliseconds. */
export function duration(minMs: number, minText: string, example: string): Form<number> {
  return {
    noun: `a duration of ${minText} or more`,
    example,
    parse: (input) => {
      if (typeof input !== 'string') return undefined;
      const ms = parseDurationMs(input);
      return ms === undefined || ms < minMs ? undefined : ms;
    },
  };
}

/** A systemd unit with processes. */
export const UNIT: Form<string> = {
  noun: 'a systemd unit (its name with .service, .scope or .slice)',
  example: 'orders.service',
  parse: (input) =>
    typeof input === 'string' && /^[A-Za-z0-9:_.\\@-]{1,240}\.(?:service|scope|slice)$/.test(input) ? input : undefined,
};

/** A user of the host: name or number. */
export const USER: Form<string> = {
  noun: 'a user of this host (its name or number)',
  example: 'orders',
  parse: (input) => {
    if (typeof input === 'number')
      return Number.isInteger(input) && input >= 0 && input < 2 ** 32 - 1 ? String(input) : undefined;
    return typeof input === 'string' && /^(?:\d{1,10}|[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?)$/.test(input)
      ? input
      : undefined;
  },
};

/** A network interface, by its name. */
export const INTERFACE = textMatching('a network interface', 'docker0', /^(?!\.{1,2}$)[A-Za-z0-9_.@-]{1,15}$/);

/** `region`, `region/zone` or `region/zone/subzone`. */
export const LOCALITY: Form<Locality> = {
  noun: 'a locality of up to three parts (region/zone/subzone)',
  example: 'eu-1/a/rack-7',
  parse: (input) => {
    if (typeof input !== 'string') return undefined;
    const [region = '', zone = '', subzone = '', ...rest] = input.split('/');
    return rest.length > 0 || region === '' ? undefined : { region, zone, subzone };
  },
};

/** A path of a file or a folder; what it is relative to, the setting says. */
export function filePath(example: string): Form<string> {
  return {
    noun: 'a path',
    example,
    // A path with NUL makes every call of the file system throw.
    parse: (input) => (typeof input === 'string' && input !== '' && !input.includes('\0') ? input : undefined),
  };
}

/** The path part of a URL. */
export const HTTP_PATH = textMatching('a path that begins with "/"', '/health', /^\/[!-~]*$/);

/** Program and arguments; no shell is involved. */
export const COMMAND: Form<readonly string[]> = {
  noun: 'a list of a program and its arguments',
  example: '[/usr/local/bin/healthy, --quick]',
  parse: (input) =>
    Array.isArray(input) &&
    input.length > 0 &&
    input.every((part): part is string => typeof part === 'string' && part !== '')
      ? input
      : undefined,
};

/** Name of a gRPC service; empty for the server as a whole. https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
export const GRPC_SERVICE = textMatching('a gRPC service, or "" for the whole server', '""', /^[A-Za-z0-9._]*$/);

/** A service as an upstream names it: a host name, or name and namespace. */
export type ServiceReference = string | { readonly name: string; readonly namespace: string };

export const SERVICE_REFERENCE: Form<ServiceReference> = {
  noun: 'a service (a short name, a host name, or {name, namespace})',
  example: 'ratings',
  parse: (input) => {
    // A ServiceEntry may be of a whole domain: *.example.com.
    if (typeof input === 'string')
      return /^(\*\.)?[a-z0-9]([a-z0-9.-]{0,249}[a-z0-9])?$/.test(input) ? input : undefined;
    if (typeof input !== 'object' || input === null || Object.keys(input).toSorted().join() !== 'name,namespace')
      return undefined;
    const { name, namespace } = input as { readonly name: unknown; readonly namespace: unknown };
    const parsed = { name: DNS_LABEL.parse(name), namespace: DNS_LABEL.parse(namespace) };
    return parsed.name === undefined || parsed.namespace === undefined
      ? undefined
      : { name: parsed.name, namespace: parsed.namespace };
  },
};
