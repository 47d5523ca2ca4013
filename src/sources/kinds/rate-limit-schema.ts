/** The shape of RateLimit (`trysail.dev/v1`), as docs/rate-limits.md explains it. */
import * as z from 'zod/mini';
import { duration, host, int, nonEmpty, port, token } from '../field-types.ts';

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

const limit = z.strictObject({
  name: nonEmpty,
  match: z.optional(z.array(match)),
  by: z.optional(
    z.array(z.union([z.enum(['caller', 'path', 'method', 'remoteAddress']), z.strictObject({ header: token })])),
  ),
  requests: int(1),
  per: duration(),
  burst: z.optional(int(1)),
  scope: z.optional(z.enum(['instance', 'fleet'])),
  dryRun: z.optional(z.boolean()),
});

export const rateLimitSchema = z.strictObject({
  host,
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
export type StringMatchSpec = z.output<typeof stringMatch>;
