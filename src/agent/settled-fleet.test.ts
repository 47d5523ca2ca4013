import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { SettledFleet } from './settled-fleet.ts';

const WEB = 'web.default.mesh';
const HOST = { workloads: [{ serviceHost: WEB }] } as unknown as Host;

function mesh(weights: readonly number[], scope: 'fleet' | 'instance' = 'fleet'): Mesh {
  const endpoints = weights.map((weight, i) => ({
    address: `10.0.0.${i}`,
    ports: { 80: 80 },
    weight,
    health: weight === 0 ? 'UNHEALTHY' : 'HEALTHY',
  }));
  return {
    rateLimits: [{ host: WEB, server: undefined, limits: [{ scope }] }],
    endpoints: new Map([[WEB, endpoints]]),
  } as unknown as Mesh;
}

function start(t: TestContext): {
  readonly fleet: SettledFleet;
  readonly due: () => number;
  readonly size: (now: Mesh) => number;
} {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 1000;
  t.mock.method(performance, 'now', () => nowMs);
  const tick = t.mock.timers.tick.bind(t.mock.timers);
  t.mock.method(t.mock.timers, 'tick', (ms: number) => {
    nowMs += ms;
    tick(ms);
  });
  let due = 0;
  const fleet = new SettledFleet(() => due++, 10_000);
  return { fleet, due: () => due, size: (now) => fleet.settle(now, HOST).fleet?.get(WEB)?.length ?? 0 };
}

test('without limits of the fleet the host stays as it is', (t) => {
  const { fleet } = start(t);
  assert.equal(fleet.settle(mesh([1, 1], 'instance'), HOST), HOST);
});

test('one change is taken at once, the next ones together, and asked for when they are due', (t) => {
  const { due, size } = start(t);
  assert.equal(size(mesh([1])), 1);
  t.mock.timers.tick(10_000);
  assert.equal(size(mesh([1, 1])), 2);
  assert.equal(size(mesh([1, 1, 1])), 2);
  t.mock.timers.tick(6000);
  assert.equal(size(mesh([1, 1, 1, 1])), 2);
  assert.equal(due(), 0);
  t.mock.timers.tick(4000);
  assert.equal(due(), 1);
  assert.equal(size(mesh([1, 1, 1, 1])), 4);
});

test('the first instances that are known are taken at once', (t) => {
  const { size } = start(t);
  assert.equal(size(mesh([])), 0);
  assert.equal(size(mesh([1, 1])), 2);
});

test('what changes no share is no change', (t) => {
  const { fleet, due } = start(t);
  const before = fleet.settle(mesh([1, 1, 0]), HOST);
  assert.equal(fleet.settle(mesh([1, 1]), HOST), before);
  t.mock.timers.tick(20_000);
  assert.equal(due(), 0);
});
