import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HealthEntry, healthEntryOf } from '../consul/health.ts';
import { readInstances } from './catalogue-instances.ts';
import { MassCriticalGuard } from './catalogue-mass-critical.ts';
import type { CatalogueInstance } from './catalogue-state.ts';

type Fault = 'node' | 'application';

/** A guard with two services of five instances each, one instance a node. */
function fleet() {
  const guard = new MassCriticalGuard({ massCriticalShare: 0.7, holdMs: 60_000 });
  const faults = new Map<string, Fault>();
  const published = new Map<string, readonly CatalogueInstance[]>();
  const raw = new Map<string, readonly CatalogueInstance[]>();
  let nowMs = 0;

  const entry = (service: string, n: number): HealthEntry => {
    const fault = faults.get(`${service}${n}`);
    return healthEntryOf({
      Node: { Node: `${service}${n}`, Address: '10.0.0.1' },
      Service: { ID: service, Port: 80 },
      Checks: [
        { CheckID: 'serfHealth', Status: fault === 'node' ? 'critical' : 'passing' },
        { CheckID: 'x', ServiceID: service, Status: fault === 'application' ? 'critical' : 'passing' },
      ],
    });
  };
  const read = (service: string): void => {
    const reading = readInstances(
      [1, 2, 3, 4, 5].map((n) => entry(service, n)),
      raw.get(service),
    );
    raw.set(service, reading.instances);
    guard.observe(service, published.get(service), reading, nowMs);
    guard.evaluate(nowMs);
    for (const [name, instances] of raw) published.set(name, guard.publish(name, instances));
  };
  read('a');
  read('b');
  return {
    guard,
    /** Sets faults (`a1` …) and reads the services they belong to. */
    fail(fault: Fault | undefined, ...nodes: string[]): void {
      for (const node of nodes) {
        if (fault === undefined) faults.delete(node);
        else faults.set(node, fault);
      }
      for (const service of new Set(nodes.map((node) => node.charAt(0)))) read(service);
    },
    pass(ms: number): void {
      nowMs += ms;
      if (guard.evaluate(nowMs)) for (const [name, list] of raw) published.set(name, guard.publish(name, list));
    },
    critical: (): string[] =>
      [...published.values()]
        .flat()
        .filter((i) => i.status === 'critical')
        .map((i) => i.node),
    before: (): ReadonlyMap<string, readonly CatalogueInstance[]> => new Map(published),
  };
}

test('most nodes declared dead at once: all are held, those before the threshold too, with their objects', () => {
  const f = fleet();
  const [before] = f.before().get('a') ?? [];
  f.fail('node', 'a1', 'a2', 'a3', 'a4', 'a5');
  assert.equal(f.critical().length, 5, 'half of the fleet is believed');
  f.pass(5000);
  f.fail('node', 'b1', 'b2');
  assert.deepEqual(f.critical(), []);
  assert.equal(f.before().get('a')?.[0], before);
  assert.deepEqual(f.guard.hold, { sinceMs: 5000, untilMs: 65_000, held: 7, of: 10 });
});

test('those that fail during the hold are held too, application faults are not', () => {
  const f = fleet();
  f.fail('node', 'a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3');
  f.fail('node', 'b4');
  f.fail('application', 'b5');
  assert.deepEqual(f.critical(), ['b5']);
});

test('it ends with recovery, and with its time', () => {
  const recovered = fleet();
  recovered.fail('node', 'a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3');
  recovered.fail(undefined, 'a1', 'a2', 'a3');
  assert.notEqual(recovered.guard.hold, undefined);
  recovered.fail(undefined, 'a4');
  assert.equal(recovered.guard.hold, undefined);
  assert.deepEqual(recovered.critical(), ['b1', 'b2', 'b3']);

  const passed = fleet();
  passed.fail('node', 'a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3');
  passed.pass(59_999);
  assert.deepEqual(passed.critical(), []);
  passed.pass(1);
  assert.equal(passed.critical().length, 7);
  passed.fail('node', 'a1');
  assert.equal(passed.critical().length, 7, 'what was given up is not held again');
});

test('failures one by one, of applications, or of few nodes are believed', () => {
  const slow = fleet();
  for (const node of ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'b3', 'b4']) {
    slow.fail('node', node);
    slow.pass(20_000);
  }
  assert.equal(slow.critical().length, 9);

  const applications = fleet();
  applications.fail('application', 'a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'b3', 'b4', 'b5');
  assert.equal(applications.critical().length, 10);

  const small = fleet();
  small.guard.forget('b');
  small.fail('application', 'a3', 'a4', 'a5');
  small.fail('node', 'a1', 'a2');
  assert.ok(small.critical().includes('a1'));
});
