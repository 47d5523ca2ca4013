/** The shape of RateLimit (`trysail.dev/v1`), as docs/rate-limits.md explains it. */
import * as z from 'zod/mini';
import { shownValue } from '../../lib/shown-value.ts';
import type { LimitKey } from '../../model/rate-limit.ts';
import { duration, host, int, isToken, nonEmpty, port } from '../field-types.ts';

const stringMatch = z.strictObject({
  exact: z.optional(z.string()),
  prefix: z.optional(z.string()),
  regex: z.optional(z.string()),
});

const match = z.strictObject({
  path: z.optional(stringMatch),
  method: z.optional(stringMatch),
  headers: z.optional(z.record(z.string(), stringMatch)),
  callers: z.optional(z.array(nonEmpty)),
});

const WORDS = ['caller', 'path', 'method', 'remoteAddress'] as const;
type Word = (typeof WORDS)[number];

function isWord(input: unknown): input is Word {
  return WORDS.some((word) => word === input);
}

/** One of the words, or `header: <name>`. */
const key = z.pipe(
  z.union([z.string(), z.record(z.string(), z.string())]),
  z.transform((input: string | Readonly<Record<string, string>>, context): LimitKey => {
    if (isWord(input)) return { kind: input };
    const header = typeof input === 'string' || Object.keys(input).length !== 1 ? undefined : input['header'];
    if (header !== undefined && isToken(header)) return { kind: 'header', name: header.toLowerCase() };
    context.issues.push({
      code: 'custom',
      input,
      message: `${shownValue(input)} is nothing to count by`,
      params: { remedy: `Write ${WORDS.join(', ')} or {header: <name>}.` },
    });
    return { kind: 'path' };
  }),
);

const limit = z.strictObject({
  name: nonEmpty,
  match: z.optional(z.array(match)),
  by: z.optional(z.array(key)),
  requests: int(1),
  per: duration(),
  burst: z.optional(int(1)),
  scope: z.optional(z.enum(['instance', 'fleet'])),
  dryRun: z.optional(z.boolean()),
});

export const rateLimitSchema = z.strictObject({
  host: z.optional(host),
  gateway: z.optional(nonEmpty),
  hosts: z.optional(z.array(host)),
  ports: z.optional(z.array(port)),
  limits: z.array(limit),
  server: z.optional(
    z.strictObject({
      host,
      port: z.optional(port),
      domain: z.optional(nonEmpty),
      timeout: z.optional(duration()),
      failClosed: z.optional(z.boolean()),
    }),
  ),
});

export type RateLimitSpec = z.output<typeof rateLimitSchema>;
