import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Limit } from '../../model/rate-limit.ts';
import type { Endpoint, Health } from '../../model/service.ts';
import { fleetShare, tokenBucket } from './rate-limit-bucket.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const LIMIT: Limit = {
  name: 'a',
  match: [],
  by: [],
  requests: 10,
  perMs: 60_000,
  burst: undefined,
  scope: 'fleet',
  dryRun: false,
};

function endpoint(last: number, weight = 1, health: Health = 'HEALTHY'): Endpoint {
  const locality = { region: '', zone: '', subzone: '' };
  const address = `10.0.0.${last}`;
  return { id: address, address, ports: { 80: 8080 }, health, weight, locality, labels: {}, offersMtls: true };
}

const OWN = { listen: { address: '10.0.0.1', port: 8080 } };

function perMinute(bucket: ReturnType<typeof tokenBucket>): number {
  const { fillInterval, tokensPerFill } = bucket;
  const seconds = Number(fillInterval?.seconds ?? 0) + (fillInterval?.nanos ?? 0) / 1e9;
  return ((tokensPerFill ?? 0) / seconds) * 60;
}

test('shares follow the weights of the live instances', () => {
  assert.deepEqual(fleetShare([], OWN), { weight: 1, total: 1 });
  assert.deepEqual(fleetShare([endpoint(1), endpoint(2), endpoint(3)], OWN), { weight: 1, total: 3 });
  assert.deepEqual(fleetShare([endpoint(1, 2), endpoint(2, 4)], OWN), { weight: 1, total: 3 });
  assert.deepEqual(fleetShare([endpoint(1), endpoint(2, 1, 'UNHEALTHY'), endpoint(3, 1, 'DRAINING')], OWN), {
    weight: 1,
    total: 1,
  });
});

test('while nobody is live all instances count, as callers try all of them', () => {
  const away = [endpoint(1, 1, 'UNHEALTHY'), endpoint(2, 3, 'UNHEALTHY')];
  assert.deepEqual(fleetShare(away, OWN), { weight: 1, total: 4 });
});

test('an instance that is not among them takes as much as an average one', () => {
  assert.deepEqual(fleetShare([endpoint(2, 5), endpoint(3, 1)], OWN), { weight: 1, total: 2 });
  const everywhere = { listen: { address: '0.0.0.0', port: 8080 } };
  assert.deepEqual(fleetShare([endpoint(1), endpoint(2)], everywhere), { weight: 1, total: 2 });
});

test('only limits of the fleet are shared', () => {
  const share = { weight: 1, total: 4 };
  assert.equal(tokenBucket({ ...LIMIT, scope: 'instance' }, share).maxTokens, 10);
  assert.equal(tokenBucket(LIMIT, share).maxTokens, 2);
  assert.equal(tokenBucket({ ...LIMIT, requests: 1 }, share).maxTokens, 1);
  assert.equal(tokenBucket(LIMIT, undefined).maxTokens, 10);
});

test('together the shares are the limit, however many instances there are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 100 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 86_400_000 }),
      (weights, requests, perMs) => {
        const endpoints = weights.map((weight, i) => endpoint(i + 1, weight));
        const buckets = endpoints.map(({ address }) =>
          tokenBucket({ ...LIMIT, requests, perMs }, fleetShare(endpoints, { listen: { address, port: 8080 } })),
        );
        const wanted = (requests / perMs) * 60_000;
        const sum = buckets.reduce((all, bucket) => all + perMinute(bucket), 0);
        assert.ok(Math.abs(sum - wanted) <= wanted * 1e-6, `${sum} and not ${wanted}`);
        const atOnce = buckets.reduce((all, { maxTokens = 0 }) => all + maxTokens, 0);
        assert.ok(atOnce <= Math.max(requests, 0) + weights.length);
        assert.ok(buckets.every(({ maxTokens = 0, tokensPerFill = 0 }) => maxTokens >= 1 && tokensPerFill >= 1));
      },
    ),
  );
});

test('what does not fit into 32 bits is rounded down', () => {
  const bucket = tokenBucket({ ...LIMIT, requests: 4_294_967_295 }, { weight: 2, total: 3 });
  assert.equal(bucket.tokensPerFill, 2_863_311_530);
  assert.equal(bucket.fillInterval?.seconds, 60n);
});

test('no interval is longer than Envoy can count', () => {
  const yearMs = 31_536_000_000;
  const bucket = tokenBucket({ ...LIMIT, requests: 1000, perMs: yearMs }, { weight: 1, total: 500 });
  assert.equal(bucket.fillInterval?.seconds, BigInt(yearMs / 1000));
  assert.equal(bucket.tokensPerFill, 2);
});
