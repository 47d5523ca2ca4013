/** RateLimit (`trysail.dev/v1`): from what a user writes to the model, with the rules that its schema cannot say. */

import type { Path } from '../../lib/yaml-document.ts';
import type {
  Limit,
  LimitedGateway,
  LimitKey,
  LimitMatch,
  RateLimit,
  RateLimitServer,
} from '../../model/rate-limit.ts';
import { MESH_GATEWAY, type StringMatch } from '../../model/virtual-service.ts';
import { isNamespaceName, isToken } from '../field-types.ts';
import { defineKind, type Report } from './kind.ts';
import { type RateLimitSpec, rateLimitSchema } from './rate-limit-schema.ts';
import { buildStringMatch } from './string-match.ts';

type LimitSpec = RateLimitSpec['limits'][number];
type MatchSpec = NonNullable<LimitSpec['match']>[number];

/** It becomes part of the names of statistics, whose parts are divided by dots. */
const NAME = /^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/;
const GATEWAY = /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/;
const CALLER = /^(?:spiffe:\/\/[^/,\s]+\/ns\/[^/,\s]+\/sa\/[^/,\s]+|ns\/[^/,\s]+(?:\/sa\/[^/,\s]+)?)$/;
/** The periods that the protocol of rate limit services has. */
const SERVER_PERIODS_MS = new Set([1000, 60_000, 3_600_000, 86_400_000]);
/** Envoy fills no bucket more often, and refuses the routes of the whole port. */
const SHORTEST_PERIOD_MS = 50;
const DEFAULT_SERVER_TIMEOUT_MS = 100;
/** Each is one more filter that every request passes. */
const MOST_LIMITS = 20;

function buildMatch(spec: MatchSpec, path: Path, report: Report): LimitMatch {
  if (Object.values(spec).every((value) => value === undefined))
    report(path, 'says nothing and holds for every request', 'Add a condition, or leave "match" out.');
  const one = (field: 'path' | 'method'): StringMatch | undefined =>
    spec[field] && buildStringMatch(spec[field], [...path, field], report, false);
  for (const [i, caller] of (spec.callers ?? []).entries())
    if (!CALLER.test(caller))
      report(
        [...path, 'callers', i],
        `"${caller}" does not name callers`,
        'Write ns/<namespace>/sa/<service account>, ns/<namespace>, or a whole SPIFFE id.',
      );
  return {
    path: one('path'),
    method: one('method'),
    headers: Object.fromEntries(
      Object.entries(spec.headers ?? {}).map(([name, value]) => {
        const at = [...path, 'headers', name];
        if (!isToken(name)) report(at, `"${name}" is not the name of a header`, 'Use letters, digits and "-".');
        return [name.toLowerCase(), buildStringMatch(value, at, report, true)];
      }),
    ),
    callers: spec.callers ?? [],
  };
}

function keyName(key: LimitKey): string {
  return key.kind === 'header' ? `header ${key.name}` : key.kind;
}

function buildLimit(spec: LimitSpec, path: Path, report: Report, byServer: boolean): Limit {
  if (!NAME.test(spec.name))
    report([...path, 'name'], `"${spec.name}" cannot name statistics`, 'Use letters, digits, "-" and "_".');
  const by = spec.by ?? [];
  for (const [i, key] of by.entries())
    if (by.findIndex((other) => keyName(other) === keyName(key)) < i)
      report([...path, 'by', i], `${keyName(key)} stands here twice`, 'Keep one.');
  if (spec.burst !== undefined && spec.burst > spec.requests)
    report(
      [...path, 'burst'],
      `${spec.burst} at once is more than the ${spec.requests} of the whole period`,
      'Write no more than "requests", or leave it out.',
    );
  if (!byServer && spec.per > 0 && spec.per < SHORTEST_PERIOD_MS)
    report(
      [...path, 'per'],
      `is shorter than ${SHORTEST_PERIOD_MS}ms`,
      'Write the requests of a longer period, such as 1s.',
    );
  if (byServer) {
    if (!SERVER_PERIODS_MS.has(spec.per))
      report([...path, 'per'], 'a rate limit server knows no such period', 'Write 1s, 1m, 1h or 24h.');
    if (spec.burst !== undefined)
      report([...path, 'burst'], 'a rate limit server knows no burst', 'Remove it, or remove "server".');
    if (spec.scope !== undefined)
      report([...path, 'scope'], 'a rate limit server counts for all instances', 'Remove it, or remove "server".');
  }
  return {
    name: spec.name,
    match: (spec.match ?? []).map((match, i) => buildMatch(match, [...path, 'match', i], report)),
    by,
    requests: spec.requests,
    perMs: spec.per,
    burst: spec.burst,
    scope: spec.scope ?? 'instance',
    dryRun: spec.dryRun ?? false,
  };
}

function buildServer(
  { host, port, domain, timeout, failClosed }: NonNullable<RateLimitSpec['server']>,
  meta: { readonly namespace: string },
  report: Report,
): RateLimitServer {
  if (host.includes('*')) report(['server', 'host'], `"${host}" is a wildcard`, 'Name one service.');
  return {
    host,
    port,
    domain: domain ?? meta.namespace,
    timeoutMs: timeout ?? DEFAULT_SERVER_TIMEOUT_MS,
    failClosed: failClosed ?? false,
  };
}

/** `edge` of the own namespace, or `namespace/edge`; nothing outside of the mesh has a part in it. */
function buildGateway(
  written: string,
  hosts: readonly string[],
  meta: { readonly namespace: string },
  report: Report,
): LimitedGateway {
  const [name = '', namespace = meta.namespace, ...others] = written.split('/').toReversed();
  if (written === MESH_GATEWAY)
    report(['gateway'], '"mesh" is no Gateway', 'Write "host", a service, which limits all calls to it.');
  else if (others.length > 0 || !GATEWAY.test(name) || !isNamespaceName(namespace))
    report(['gateway'], `"${written}" is not the name of a Gateway`, 'Write its name, or namespace/name.');
  return { name: `${namespace}/${name}`, hosts: [...new Set(hosts.map((host) => host.toLowerCase()))] };
}

/** Hosts of services stay as written: they are completed when the mesh is built. */
export const rateLimitKind = defineKind({
  kind: 'RateLimit',
  apiVersions: ['trysail.dev/v1'],
  schema: rateLimitSchema,
  unsupported: [],
  build(meta, spec, report): RateLimit {
    const { host, gateway, hosts, ports = [], limits, server } = spec;
    if (host?.includes('*') === true)
      report(['host'], `"${host}" is a wildcard`, 'Name one service, a RateLimit each.');
    if (host === undefined && gateway === undefined)
      report([], 'says nothing to limit', 'Write "host", a service, or "gateway", a Gateway.');
    if (host !== undefined && gateway !== undefined)
      report(['gateway'], 'stands beside "host"', 'Write a RateLimit for each.');
    if (hosts !== undefined && gateway === undefined)
      report(['hosts'], 'are those of a Gateway, and none is named', 'Write "gateway", or remove them.');
    if (limits.length === 0) report(['limits'], 'has no limits', 'Add one with "name", "requests" and "per".');
    if (limits.length > MOST_LIMITS)
      report(['limits'], `has ${limits.length} limits`, `Write at most ${MOST_LIMITS}: "by" makes one limit of many.`);
    for (const [i, { name }] of limits.entries())
      if (limits.findIndex((other) => other.name === name) < i)
        report(['limits', i, 'name'], `"${name}" stands here twice`, 'Give each limit its own name.');
    return {
      meta,
      host,
      ...(gateway !== undefined && { gateway: buildGateway(gateway, hosts ?? [], meta, report) }),
      ports,
      limits: limits.map((limit, i) => buildLimit(limit, ['limits', i], report, server !== undefined)),
      server: server && buildServer(server, meta, report),
    };
  },
});
