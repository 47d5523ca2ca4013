/** How requests are spread over real endpoints: algorithms, hashes, ejection and return, limits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import {
  type Answered,
  type Bookshop,
  type CallOptions,
  type Conduct,
  type Document,
  PLAIN,
  startBookshop,
} from './bookshop.ts';

const VERSIONS = { v1: PLAIN, v2: PLAIN, v3: PLAIN } as const;
/** Envoy's name of the cluster in its statistics. */
const CLUSTER = 'cluster.outbound|9080||reviews.default.mesh;';

/** A rule of its own beside the one of the bookshop, older by its name. */
function policy(trafficPolicy: object): Document {
  return { kind: 'DestinationRule', name: 'policy', spec: { host: 'reviews', trafficPolicy } };
}

function hashing(consistentHash: object): Document {
  return policy({ loadBalancer: { consistentHash } });
}

async function answerers(shop: Bookshop, count: number, how?: CallOptions): Promise<readonly string[]> {
  return Object.keys(await shop.shares(count, how));
}

/** Requests that hash alike go to one endpoint; those of many values reach all. */
async function sticks(shop: Bookshop, how: (value: string) => CallOptions): Promise<void> {
  const reached = new Set<string>();
  // Ports, and with them the ring, are others in each run; one of three with a quarter of it is missed once in 10^12.
  for (let i = 0; i < 100; i++) {
    const first = await answerers(shop, 2, how(`user-${i}`));
    assert.equal(first.length, 1, `requests of user-${i} went to ${first.join(', ')}`);
    reached.add(first[0] ?? '');
  }
  assert.deepEqual([...reached].toSorted(), Object.keys(VERSIONS));
}

test('ROUND_ROBIN gives each endpoint its turn', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [policy({ loadBalancer: { simple: 'ROUND_ROBIN' } })],
  });
  assert.deepEqual(await shop.shares(30), { v1: 10, v2: 10, v3: 10 });
});

test('a header decides, on a ring', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [hashing({ httpHeaderName: 'x-user', ringHash: { minimumRingSize: 2048 } })],
  });
  await sticks(shop, (user) => ({ headers: { 'x-user': user } }));
});

test('a query parameter decides, by a Maglev table', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [hashing({ httpQueryParameterName: 'user', maglev: { tableSize: 65_537 } })],
  });
  await sticks(shop, (user) => ({ path: `/?user=${user}` }));
});

test('a cookie decides; who has none is given one, with its attributes', async (t) => {
  const shop = await startBookshop(t, {
    versions: VERSIONS,
    rules: [
      hashing({
        httpCookie: { name: 'shop', path: '/', ttl: '60s', attributes: [{ name: 'SameSite', value: 'Strict' }] },
      }),
    ],
  });
  await sticks(shop, (user) => ({ headers: { cookie: `shop=${user}` } }));
  const fresh = await shop.call();
  const [cookie = ''] = fresh.headers['set-cookie'] ?? [];
  assert.match(cookie, /^shop="[0-9a-f]+"; Max-Age=60; Path=\/; SameSite=Strict; HttpOnly$/);
  const [pair = ''] = cookie.split(';');
  assert.deepEqual(await answerers(shop, 10, { headers: { cookie: pair } }), [fresh.headers['x-app']]);
});

test('the source address decides', async (t) => {
  const shop = await startBookshop(t, { versions: VERSIONS, rules: [hashing({ useSourceIp: true })] });
  assert.equal((await answerers(shop, 30)).length, 1);
});

test('an endpoint that fails is left alone for a time, and comes back', async (t) => {
  let failing = true;
  const versions: Readonly<Record<string, Conduct>> = {
    v1: () => ({ status: failing ? 500 : 200 }),
    v2: PLAIN,
  };
  const outlierDetection = {
    consecutive5xxErrors: 2,
    interval: '200ms',
    baseEjectionTime: '1s',
    maxEjectionPercent: 100,
  };
  const shop = await startBookshop(t, {
    versions,
    rules: [policy({ loadBalancer: { simple: 'ROUND_ROBIN' }, outlierDetection })],
  });
  await eventually('v1 is left alone', async () => assert.deepEqual(await shop.shares(10), { v2: 10 }));
  failing = false;
  await eventually('v1 is back', async () => assert.deepEqual(await shop.shares(10), { v1: 5, v2: 5 }));
});

test('statuses below 500 can count as errors', async (t) => {
  const outlierDetection = {
    consecutive5xxErrors: 2,
    outlierDetectionHttpErrorCodes: [429],
    interval: '200ms',
    maxEjectionPercent: 100,
  };
  for (const [status, ejected] of [
    [429, 1],
    [500, 1],
    [404, 0],
  ] as const) {
    const shop = await startBookshop(t, {
      versions: { v1: () => ({ status }), v2: PLAIN },
      rules: [policy({ loadBalancer: { simple: 'ROUND_ROBIN' }, outlierDetection })],
    });
    await shop.shares(10);
    await eventually(`${status}: ejected ${ejected}`, async () =>
      assert.equal(await shop.envoy.stat(`${CLUSTER}.outlier_detection.ejections_active`), ejected),
    );
  }
});

test('what exceeds the limits is refused with 503 UO', async (t) => {
  const gate = Promise.withResolvers<void>();
  const shop = await startBookshop(t, {
    versions: { v1: () => ({ after: gate.promise }) },
    rules: [
      policy({ connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } }),
      {
        kind: 'VirtualService',
        spec: {
          hosts: ['reviews'],
          http: [{ retries: { attempts: 0 }, route: [{ destination: { host: 'reviews' } }] }],
        },
      },
    ],
  });
  const refused: Answered[] = [];
  const calls = Array.from({ length: 6 }, async () => {
    const answer = await shop.call();
    if (answer.status === 503) refused.push(answer);
    return answer.status;
  });
  // One is on the connection, and one waits where the connection was there before it.
  await eventually('the others are refused', () => refused.length >= 4);
  gate.resolve();
  const statuses = await Promise.all(calls);
  assert.ok(statuses.includes(200), statuses.join(', '));
  for (const { headers } of refused) assert.equal(headers['x-envoy-overloaded'], 'true');
  assert.equal(await shop.envoy.stat(`${CLUSTER}.upstream_rq_pending_overflow`), refused.length);
});

test('without a rule there are no limits: Envoy’s own of 1,024 are not ours', async (t) => {
  const shop = await startBookshop(t, { versions: VERSIONS, rules: [] });
  const text = await shop.envoy.admin('/clusters');
  assert.match(text, /reviews\.default\.mesh::default_priority::max_connections::4294967295/);
  assert.match(text, /reviews\.default\.mesh::default_priority::max_retries::4294967295/);
});

test('a connection serves as many requests as it may', async (t) => {
  const count = async (http: object): Promise<number> => {
    const shop = await startBookshop(t, { versions: { v1: PLAIN }, rules: [policy({ connectionPool: { http } })] });
    await shop.shares(10);
    return shop.envoy.stat(`${CLUSTER}.upstream_cx_total`);
  };
  assert.equal(await count({ maxRequestsPerConnection: 2 }), 5);
  assert.equal(await count({}), 1);
});

test('a budget keeps retries to their share', async (t) => {
  const CALLS = 20;
  /** All calls fail at once; what is tried again waits until so many calls were answered. */
  const retried = async (more: object, answeredFirst: number): Promise<number> => {
    const [all, enough] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    if (answeredFirst === 0) enough.resolve();
    const shop = await startBookshop(t, {
      versions: {
        v1: (_, count) => {
          if (count === CALLS) all.resolve();
          return { status: 503, after: count <= CALLS ? all.promise : enough.promise };
        },
      },
      rules: [
        policy(more),
        {
          kind: 'VirtualService',
          spec: {
            hosts: ['reviews'],
            http: [
              {
                retries: { attempts: 1, retryOn: '5xx', backoff: '1ms' },
                route: [{ destination: { host: 'reviews' } }],
              },
            ],
          },
        },
      ],
    });
    let answered = 0;
    await Promise.all(
      Array.from({ length: CALLS }, async () => {
        await shop.call();
        answered += 1;
        if (answered >= answeredFirst) enough.resolve();
      }),
    );
    return shop.envoy.stat(`${CLUSTER}.upstream_rq_retry`);
  };
  assert.equal(await retried({}, 0), CALLS);
  const few = await retried({ retryBudget: { percent: 10, minRetryConcurrency: 1 } }, 12);
  assert.ok(few >= 1 && few <= 8, String(few));
});
