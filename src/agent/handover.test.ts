import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../lib/log.ts';
import type { Workload } from '../model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import type { RegisteredHealth } from '../register/entry.ts';
import type { RegistrarStatus } from '../register/registrar-status.ts';
import { Handover } from './handover.ts';
import type { AgentSettings } from './settings.ts';
import { completeSettings } from './settings-complete.ts';
import { toHost } from './settings-host.ts';
import { SETTINGS_SCHEMA } from './settings-schema.ts';

function settings(...services: readonly object[]): AgentSettings {
  const written = { identity: { provider: 'none' }, envoy: { lingerTime: '0s' }, services };
  const completed = completeSettings(SETTINGS_SCHEMA.parse(written), {
    file: undefined,
    base: { directory: '/', credentials: undefined },
    machine: { hostName: 'vm-1', address: '10.0.0.5', cores: 2 },
    exists: () => false,
  });
  assert.ok('settings' in completed);
  return completed.settings;
}

const workloads = (of: AgentSettings): readonly Workload[] => toHost(of, DEFAULT_MESH_CONFIG).workloads;
const ports = (of: readonly Workload[]): readonly string[] =>
  of.map(({ service, inbound }) => `${service} ${inbound?.listen.port ?? '-'}`);

const POLL_MS = 5;

/** The world around a hand-over: what is open and what Consul says is for the test to change. */
class World {
  readonly served: (readonly string[])[] = [];
  readonly registered: (readonly [ports: readonly string[], keep: readonly string[]])[] = [];
  open = new Set<string>();
  confirmed = false;
  current = false;
  health: RegisteredHealth = 'passing';
  opened = 0;
  names: readonly string[] = [];
  readonly handover: Handover;

  constructor(t: TestContext, first: AgentSettings) {
    this.handover = new Handover(first, workloads(first), {
      serve: (now) => void this.served.push(ports(now)),
      register: (of, keep) => {
        this.names = of.services.map(({ name }) => `default/${name}`);
        const written = of.services.map(({ name, inbound }) => `${name} ${inbound?.port ?? '-'}`);
        this.registered.push([written, [...keep]]);
      },
      isOpen: async (workload) => this.open.has(workload.service),
      registrar: () => this.#status(),
      onOpen: () => (this.opened += 1),
      log: silentLog(),
      healthyMs: 60_000,
      pollMs: POLL_MS,
    });
    t.after(async () => this.handover.stop());
  }

  move(to: AgentSettings): void {
    this.handover.move(to, workloads(to));
  }

  /** Waits for several turns of the hand-over, however late this process comes to run. */
  async turns(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await delay(POLL_MS);
  }

  #status(): RegistrarStatus {
    const { confirmed, health } = this;
    return {
      address: '',
      connected: true,
      current: this.current,
      services: this.names.map((instance) => ({
        instance,
        consulName: instance,
        id: instance,
        registered: true,
        confirmed,
        sinceMs: 1,
        error: undefined,
        application: health,
        proxy: 'passing',
        warnings: [],
      })),
    };
  }
}

test('a change that peers do not see is registered at once', (t) => {
  const world = new World(t, settings({ name: 'a', port: 80 }));
  world.move(settings({ name: 'a', port: 80, tags: ['blue'] }));
  assert.deepEqual(world.registered, [[['a 80'], []]]);
  assert.deepEqual(world.served, [['a 80']]);
});

test('open, then registered, then the old way closed', async (t) => {
  const world = new World(t, settings({ name: 'a', port: 80 }, { name: 'b', port: 90 }));
  world.move(settings({ name: 'a', port: 81 }, { name: 'b', port: 90 }));
  assert.deepEqual(world.served, [['a 81', 'b 90', 'a 80']]);
  assert.deepEqual(world.registered, [[['a 81', 'b 90'], ['default/a']]]);
  assert.deepEqual(world.handover.opening, ['default/a']);
  await world.turns();
  assert.equal(world.registered.length, 1, 'nothing is registered that is not open');
  assert.equal(world.opened, 0);
  world.open.add('a');
  await world.turns();
  assert.deepEqual(world.registered.at(-1), [['a 81', 'b 90'], []]);
  assert.equal(world.opened, 1);
  assert.equal(world.served.length, 1, 'the old way stays while Consul does not know the new one');
  world.confirmed = true;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 81', 'b 90']);
  assert.equal(world.handover.isMoving, false);
});

test('good health is waited for, and not for ever', async (t) => {
  let nowMs = 1000;
  t.mock.method(performance, 'now', () => nowMs);
  const world = new World(t, settings({ name: 'a', port: 80 }));
  world.open.add('a');
  world.confirmed = true;
  world.health = 'critical';
  world.move(settings({ name: 'a', port: 81 }));
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 81', 'a 80']);
  nowMs += 59_999;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 81', 'a 80']);
  nowMs += 1;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 81']);
});

test('the port of a service that goes stays until Consul has forgotten it', async (t) => {
  const world = new World(t, settings({ name: 'a', port: 80 }, { name: 'b', port: 90 }));
  world.move(settings({ name: 'b', port: 90 }));
  assert.deepEqual(world.registered, [[['b 90'], []]]);
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['b 90', 'a 80']);
  world.current = true;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['b 90']);
});

test('a move that overtakes another takes over what that has left open', async (t) => {
  const world = new World(t, settings({ name: 'a', port: 80 }));
  world.move(settings({ name: 'a', port: 81 }));
  world.move(settings({ name: 'a', port: 82 }));
  assert.deepEqual(world.served.at(-1), ['a 82', 'a 81', 'a 80']);
  assert.deepEqual(world.registered.at(-1), [['a 82'], ['default/a']]);
  world.open.add('a');
  world.confirmed = true;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 82']);
});

test('a move back before anything was registered registers nothing else', async (t) => {
  const world = new World(t, settings({ name: 'a', port: 80 }));
  world.move(settings({ name: 'a', port: 81 }));
  world.move(settings({ name: 'a', port: 80 }));
  assert.deepEqual(world.served.at(-1), ['a 80', 'a 81']);
  world.open.add('a');
  world.confirmed = true;
  await world.turns();
  assert.deepEqual(world.served.at(-1), ['a 80']);
});

test('an application that peers are to dial elsewhere is waited for', async (t) => {
  const world = new World(t, settings({ name: 'a', port: 80, mode: 'off', application: '10.0.0.5:80' }));
  world.move(settings({ name: 'a', port: 80, mode: 'off', application: '10.0.0.5:81' }));
  assert.deepEqual(world.registered, [[['a 80'], ['default/a']]]);
  world.open.add('a');
  await world.turns();
  assert.deepEqual(world.registered.at(-1)?.[1], []);
});
