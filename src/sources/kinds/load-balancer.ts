/** `loadBalancer` of a traffic policy: algorithms, hashes, localities and warm-up, with the rules that their schema cannot say. */
import type { Path } from '../../lib/yaml-document.ts';
import type { ConsistentHash, LoadBalancer, LocalityLoadBalancing, Warmup } from '../../model/destination-rule.ts';
import { limit } from './connection-pool.ts';
import type { ConsistentHashSpec, LoadBalancerSpec, LocalitySpec } from './destination-rule-schema.ts';
import { DEPRECATED, type Report } from './kind.ts';

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let i = 2; i * i <= n; i += 1) if (n % i === 0) return false;
  return true;
}

function hashKeys(spec: ConsistentHashSpec): readonly ConsistentHash['key'][] {
  const keys: ConsistentHash['key'][] = [];
  if (spec.httpHeaderName !== undefined) keys.push({ kind: 'header', name: spec.httpHeaderName });
  if (spec.httpCookie !== undefined) {
    const { name, path, ttl, attributes } = spec.httpCookie;
    keys.push({
      kind: 'cookie',
      name,
      path,
      ttlMs: ttl,
      ...(attributes !== undefined && {
        attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value ?? '' })),
      }),
    });
  }
  if (spec.useSourceIp === true) keys.push({ kind: 'sourceIp' });
  if (spec.httpQueryParameterName !== undefined)
    keys.push({ kind: 'queryParameter', name: spec.httpQueryParameterName });
  return keys;
}

function buildHash(spec: ConsistentHashSpec, path: Path, report: Report): ConsistentHash {
  const keys = hashKeys(spec);
  const [key = { kind: 'sourceIp' as const }] = keys;
  if (keys.length !== 1)
    report(
      path,
      keys.length === 0 ? 'does not say what to hash' : 'says more than one thing to hash',
      'Write one of httpHeaderName, httpCookie, useSourceIp: true and httpQueryParameterName.',
    );
  if (spec.ringHash !== undefined && spec.maglev !== undefined)
    report(path, 'has both ringHash and maglev', 'Keep one.');
  if (spec.minimumRingSize !== undefined && (spec.ringHash !== undefined || spec.maglev !== undefined))
    report(
      [...path, 'minimumRingSize'],
      `stands beside ${spec.maglev === undefined ? 'ringHash' : 'maglev'}`,
      'Keep the newer one.',
    );
  const tableSize = limit(spec.maglev?.tableSize);
  if (tableSize !== undefined && !isPrime(tableSize))
    report([...path, 'maglev', 'tableSize'], `${tableSize} is not a prime number`, 'Use a prime such as 65537.');
  if (spec.minimumRingSize !== undefined)
    report(
      [...path, 'minimumRingSize'],
      'minimumRingSize is deprecated',
      'Write ringHash: {minimumRingSize: …}.',
      DEPRECATED,
    );
  return {
    key,
    algorithm:
      spec.maglev === undefined
        ? { kind: 'ringHash', minimumRingSize: limit(spec.ringHash?.minimumRingSize ?? spec.minimumRingSize) }
        : { kind: 'maglev', tableSize },
  };
}

/** Two patterns of localities of which one covers the other: `us/*` and `us/a/*`. */
function overlap(a: string, b: string): boolean {
  const stem = (pattern: string): string => pattern.replace(/\/?\*?$/, '');
  const [x, y] = [stem(a), stem(b)];
  return x === '' || y === '' || x === y || `${x}/`.startsWith(`${y}/`) || `${y}/`.startsWith(`${x}/`);
}

function reportOverlap(patterns: readonly string[], at: (i: number) => Path, report: Report): void {
  for (const [i, pattern] of patterns.entries()) {
    const other = patterns.slice(0, i).find((earlier) => overlap(earlier, pattern));
    if (other !== undefined)
      report(at(i), `"${pattern}" and "${other}" cover the same localities`, 'Name each locality once.');
    if (!/^(\*|[^*/]+(\/[^*/]+){0,2}(\/\*)?)$/.test(pattern) || pattern.split('/').length > 3)
      report(at(i), `"${pattern}" is not a locality`, 'Write region, region/zone or region/zone/subzone; "*" ends it.');
  }
}

/** `localityLbSetting`, of a rule or of the mesh. Whether it is in force is for whoever uses it. */
export function buildLocality(spec: LocalitySpec, path: Path, report: Report): LocalityLoadBalancing {
  const { distribute = [], failover = [], failoverPriority = [] } = spec;
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0))
    report(path, 'has both distribute and failover', 'Keep one: distribute says where all traffic goes.');
  const at = [...path, 'distribute'];
  reportOverlap(
    distribute.map(({ from }) => from),
    (i) => [...at, i, 'from'],
    report,
  );
  for (const [i, { to }] of distribute.entries()) {
    reportOverlap(Object.keys(to), () => [...at, i, 'to'], report);
    const total = Object.values(to).reduce((sum, share) => sum + share, 0);
    if (total !== 100) report([...at, i, 'to'], `the shares total ${total}`, 'Make them total 100.');
  }
  for (const [i, { from, to }] of failover.entries()) {
    const where = [...path, 'failover', i];
    if (from === to) report(where, `fails over from "${from}" to itself`, 'Name another region.');
    if (/[*/]/.test(from + to))
      report(where, `"${from}" or "${to}" is not a region`, 'Write names of regions, without "/" and "*".');
  }
  return { enabled: spec.enabled ?? true, distribute, failover, failoverPriority };
}

function buildWarmup(spec: LoadBalancerSpec, path: Path, report: Report): Warmup | undefined {
  const { warmup, warmupDurationSecs } = spec;
  if (warmupDurationSecs !== undefined)
    report(
      [...path, 'warmupDurationSecs'],
      'warmupDurationSecs is deprecated',
      'Write warmup: {duration: …}.',
      DEPRECATED,
    );
  const durationMs = warmup?.duration ?? warmupDurationSecs;
  if (durationMs === undefined) return undefined;
  if (spec.consistentHash !== undefined || spec.simple === 'RANDOM' || spec.simple === 'PASSTHROUGH')
    report(
      [...path, warmup === undefined ? 'warmupDurationSecs' : 'warmup'],
      'has no effect here: this load balancing has no warm-up',
      'Use ROUND_ROBIN or LEAST_REQUEST.',
      { code: 'TRY0005', severity: 'warning' },
    );
  return { durationMs, minimumPercent: warmup?.minimumPercent ?? 10, aggression: warmup?.aggression ?? 1 };
}

type Algorithm =
  | Pick<Extract<LoadBalancer, { kind: 'simple' }>, 'kind' | 'simple'>
  | Pick<Extract<LoadBalancer, { kind: 'consistentHash' }>, 'kind' | 'hash'>;

function buildAlgorithm(spec: LoadBalancerSpec, path: Path, report: Report): Algorithm | undefined {
  const { simple } = spec;
  if (spec.consistentHash !== undefined)
    return { kind: 'consistentHash', hash: buildHash(spec.consistentHash, [...path, 'consistentHash'], report) };
  if (simple === 'LEAST_CONN') {
    report([...path, 'simple'], 'LEAST_CONN is deprecated', 'Write LEAST_REQUEST, which is the same.', DEPRECATED);
    return { kind: 'simple', simple: 'LEAST_REQUEST' };
  }
  return simple === undefined || simple === 'UNSPECIFIED' ? undefined : { kind: 'simple', simple };
}

/** One that says nothing is the default, which holds in place of what it would inherit. */
export function buildLoadBalancer(spec: LoadBalancerSpec, path: Path, report: Report): LoadBalancer {
  if (spec.simple !== undefined && spec.consistentHash !== undefined)
    report(path, 'has both simple and consistentHash', 'Keep one.');
  const algorithm = buildAlgorithm(spec, path, report);
  const warmup = buildWarmup(spec, path, report);
  const locality =
    spec.localityLbSetting === undefined
      ? undefined
      : buildLocality(spec.localityLbSetting, [...path, 'localityLbSetting'], report);
  return {
    ...(algorithm ?? { kind: 'simple', simple: 'LEAST_REQUEST' }),
    ...(locality !== undefined && { locality }),
    ...(warmup !== undefined && { warmup }),
  };
}
