/** Injected faults on a real Envoy: how often they strike, and with what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLAIN, routes, startBookshop, to } from './bookshop.ts';

/** Less than the delay: Envoy counts from the beginning of the turn in which it read the request. */
const DELAYED_MS = 500;

const uri = (exact: string): readonly object[] => [{ uri: { exact } }];

test('aborts by share, also as gRPC; without a share none', async (t) => {
  const abort = (value: number, what: object): object => ({ abort: { percentage: { value }, ...what } });
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        { match: uri('/all'), fault: abort(100, { httpStatus: 555 }), route: [to('v1')] },
        { match: uri('/half'), fault: abort(50, { httpStatus: 503 }), route: [to('v1')] },
        { match: uri('/grpc'), fault: abort(100, { grpcStatus: 'UNAVAILABLE' }), route: [to('v1')] },
        { match: uri('/unsaid'), fault: { abort: { httpStatus: 500 } }, route: [to('v1')] },
        { route: [to('v1')] },
      ),
    ],
  });
  assert.deepEqual(await shop.shares(10, { path: '/all' }), { 555: 10 });
  assert.deepEqual(shop.arrived['v1'], []);
  const half = await shop.shares(200, { path: '/half' });
  // 100 expected, standard deviation 7.
  assert.ok(Math.abs((half['503'] ?? 0) - 100) < 50, JSON.stringify(half));
  const grpc = await shop.call({ method: 'POST', path: '/grpc', headers: { 'content-type': 'application/grpc' } });
  assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '14']);
  assert.deepEqual(await shop.shares(20, { path: '/unsaid' }), { v1: 20 });
  assert.deepEqual(await shop.shares(20, { path: '/' }), { v1: 20 });
});

test('delays before the request goes on', async (t) => {
  const delay = { percentage: { value: 100 }, fixedDelay: '1s' };
  const shop = await startBookshop(t, {
    versions: { v1: PLAIN },
    rules: [
      routes(
        { match: uri('/slow'), fault: { delay }, route: [to('v1')] },
        {
          match: uri('/both'),
          fault: { delay, abort: { percentage: { value: 100 }, httpStatus: 429 } },
          route: [to('v1')],
        },
        { route: [to('v1')] },
      ),
    ],
  });
  const took = async (path: string): Promise<readonly [number, number]> => {
    const start = performance.now();
    const { status } = await shop.call({ path });
    return [status, performance.now() - start];
  };
  const [status, slowMs] = await took('/slow');
  assert.equal(status, 200);
  assert.ok(slowMs >= DELAYED_MS, `${slowMs} ms`);
  const [aborted, bothMs] = await took('/both');
  assert.equal(aborted, 429);
  assert.ok(bothMs >= DELAYED_MS, `${bothMs} ms`);
  assert.equal(shop.arrived['v1']?.length, 1);
});
