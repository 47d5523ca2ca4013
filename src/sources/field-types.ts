/** The scalar types of Istio's API as schemas: durations, ports, enumerations, hosts, labels. */
import { isIP } from 'node:net';
import * as z from 'zod/mini';
import { parseDurationMs } from '../lib/duration.ts';
import { shownValue } from '../lib/shown-value.ts';

/** Largest `uint32`. */
export const MAX_UINT32 = 4_294_967_295;
/** A hundred years: Envoy refuses what does not fit into 64 bits of nanoseconds. */
const MAX_DURATION_MS = 100 * 365 * 86_400_000;

/**
 * A duration such as `1.5s`, made milliseconds: whole, and at least `minMs` (Istio's rule is 1 ms; a few fields take 0
 * to turn something off).
 */
export function duration(minMs: 0 | 1 = 1): z.ZodMiniType<number> {
  return z.pipe(
    z.unknown(),
    z.transform((input: unknown, context): number => {
      const refuse = (message: string, remedy: string): number => {
        context.issues.push({ code: 'custom', input, message, params: { remedy } });
        return 0;
      };
      if (input === undefined) return refuse('is missing', 'Add it, such as "1.5s".');
      const shown = shownValue(input);
      const ms = typeof input === 'string' ? parseDurationMs(input) : undefined;
      if (ms === undefined) return refuse(`${shown} is not a duration`, 'Write a number and a unit, such as "1.5s".');
      if (ms > MAX_DURATION_MS) return refuse(`${shown} is longer than a hundred years`, 'Write a shorter time.');
      // Sums of decimal fractions are off by a few units of the last place.
      const whole = Math.round(ms);
      if (Math.abs(ms - whole) > 1e-6) return refuse(`${shown} is not a whole number of milliseconds`, 'Round it.');
      if (whole < minMs) return refuse(`${shown} is less than 1ms`, 'Leave the field out, or write 1ms or more.');
      return whole;
    }),
  );
}

/** A whole number in a range; `int()` is any `uint32`. */
export function int(min = 0, max = MAX_UINT32): z.ZodMiniType<number, number> {
  return z.number().check(
    z.refine((value: number) => Number.isInteger(value) && value >= min && value <= max, {
      error: ({ input }) => `${shownValue(input)} is not a whole number from ${min} to ${max}`,
      params: { remedy: `Write a whole number from ${min} to ${max}.` },
    }),
  );
}

/** A share in percent, which may have a fraction. */
export const percent = z.number().check(
  z.refine((value: number) => value >= 0 && value <= 100, {
    error: ({ input }) => `${shownValue(input)} is not a share in percent`,
    params: { remedy: 'Write a number from 0 to 100.' },
  }),
);

/** A TCP port. */
export const port = int(1, 65_535);

export const nonEmpty = z.string().check(
  z.refine((text: string) => text !== '', {
    error: 'must not be empty',
    params: { remedy: 'Write a value, or leave the field out.' },
  }),
);

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Whether `name` can be the name of an HTTP header or cookie (RFC 9110, token); Envoy refuses what cannot. */
export function isToken(name: string): boolean {
  return TOKEN.test(name);
}

/** The name of an HTTP header or cookie. */
export const token = z.string().check(
  z.refine(isToken, {
    error: ({ input }) => `${shownValue(input)} is not the name of a header or cookie`,
    params: { remedy: 'Use letters, digits and "-".' },
  }),
);

/** Whether Envoy takes `text` for an IP address: without a zone (`fe80::1%eth0`), which has a meaning on one host only. */
export function isIpAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes('%');
}

/** Whether an address is a path of a Unix socket: `unix:///run/app.sock`. */
export function isSocketAddress(address: string): boolean {
  return address.startsWith('unix:');
}

/** Label keys and values. */
export const labels = z.record(z.string(), z.string());

const LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/;

/** Why `host` is neither a DNS name, nor a wildcard of one (`*`, `*.example.com`), nor an IP address; else undefined. */
export function hostProblem(host: string): string | undefined {
  if (host === '') return 'is empty';
  if (host.length > 253) return 'is longer than 253 characters';
  if (host.includes(':')) return isIpAddress(host) ? undefined : 'has a port or a scheme';
  const rest = host === '*' ? '' : host.startsWith('*.') ? host.slice(2) : host;
  if (host === '*') return undefined;
  if (rest.includes('*')) return 'has "*" elsewhere than as its whole first label';
  for (const label of rest.replace(/\.$/, '').split('.'))
    if (label.length > 63 || !LABEL.test(label)) return `has "${label}" for a label`;
  return undefined;
}

/** A host name, a wildcard of one, or an IP address. */
export const host = z.string().check(
  z.refine((text: string) => hostProblem(text) === undefined, {
    error: ({ input }) => `${shownValue(input)} ${hostProblem(String(input)) ?? 'is not a host name'}`,
    params: { remedy: 'Write a DNS name such as reviews.default.mesh, or *.example.com.' },
  }),
);

const NAMESPACE = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?|[*.~])$/;

/** Whether `name` can be that of a namespace (a DNS label). */
export function isNamespaceName(name: string): boolean {
  return NAMESPACE.test(name) && !/[*.~]/.test(name);
}

/** Whether `text` is an IP address, or a range of them in CIDR notation. */
export function isSubnet(text: string): boolean {
  const [address = '', bits, ...others] = text.split('/');
  if (others.length > 0 || !isIpAddress(address)) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (isIP(address) === 4 ? 32 : 128));
}

const exportName = z.string().check(
  z.refine((text: string) => NAMESPACE.test(text), {
    error: ({ input }) => `${shownValue(input)} is not the name of a namespace`,
    params: { remedy: 'Write ".", "*", "~" or a namespace.' },
  }),
);

/** Why a list of namespaces contradicts itself; else undefined. */
function exportProblem(names: readonly string[]): string | undefined {
  if (names.length < 2) return undefined;
  if (names.includes('*')) return 'has other names beside "*", which is everybody';
  if (names.includes('~')) return 'has other names beside "~", which is nobody';
  const again = names.find((name, i) => names.indexOf(name) < i);
  return again === undefined ? undefined : `has "${again}" twice`;
}

/** `.` own namespace, `*` all, `~` none, or names of namespaces. */
export const exportTo = z.optional(
  z.array(exportName).check(
    z.refine((names: readonly string[]) => exportProblem(names) === undefined, {
      error: ({ input }) =>
        (Array.isArray(input) ? exportProblem(input.map(String)) : undefined) ?? 'contradicts itself',
      params: { remedy: 'Write "*" or "~" alone, or each namespace once.' },
    }),
  ),
);

/** A part of Istio's API whose inside nobody reads yet: its presence alone is judged, by the table of its kind. */
export const unread = z.optional(z.unknown());
