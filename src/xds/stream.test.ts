/** Whatever a client asks, accepts and refuses, and in whatever order things change: in the end it has what there is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { type Resource, TYPE_URL, type TypeUrl } from './resource.ts';
import { ResponseEncoder } from './response.ts';
import { XdsStream } from './stream.ts';
import { TypeTable } from './type-table.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const TYPES = [TYPE_URL.cluster, TYPE_URL.endpoint, TYPE_URL.listener, TYPE_URL.route] as const;
const NAMES = ['a', 'b', 'c', 'd'];

type Command =
  | { readonly kind: 'set'; readonly type: number; readonly contents: readonly (number | null)[] }
  | { readonly kind: 'subscribe' | 'unsubscribe'; readonly type: number; readonly name: number }
  | { readonly kind: 'answer'; readonly verdict: 'accept' | 'refuse' | 'blame' }
  | { readonly kind: 'flush' }
  | { readonly kind: 'reconnect' };

const index = (items: readonly unknown[]) => fc.nat(items.length - 1);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('set' as const),
      type: index(TYPES),
      contents: fc.array(fc.option(fc.nat(3)), { minLength: NAMES.length, maxLength: NAMES.length }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
      type: index(TYPES),
      name: index([...NAMES, '*']),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      verdict: fc.constantFrom('accept' as const, 'accept' as const, 'refuse' as const, 'blame' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Command>({ kind: 'flush' }, { kind: 'flush' }, { kind: 'reconnect' }),
  },
);

/** Real messages for what ordering reads, anything else for the rest. */
function resource(type: TypeUrl, name: string, content: number): Resource {
  if (type === TYPE_URL.cluster) {
    const init: MessageInitShape<typeof ClusterSchema> = { name, edsClusterConfig: {}, altStatName: String(content) };
    return { name, value: toBinary(ClusterSchema, create(ClusterSchema, init)) };
  }
  if (type !== TYPE_URL.endpoint) return { name, value: Buffer.from(`${content}${name}`) };
  const init: MessageInitShape<typeof ClusterLoadAssignmentSchema> = {
    clusterName: name,
    policy: { overprovisioningFactor: content + 1 },
  };
  return { name, value: toBinary(ClusterLoadAssignmentSchema, create(ClusterLoadAssignmentSchema, init)) };
}

/** The server's tables, and one stream that can be replaced. */
class World {
  readonly tables = new Map<string, TypeTable>(TYPES.map((type) => [type, new TypeTable(type)]));
  readonly encoder = new ResponseEncoder();
  generation = 0;
  outbox: Buffer[] = [];
  stream: XdsStream;
  readonly mode: 'delta' | 'sotw';

  constructor(mode: 'delta' | 'sotw') {
    this.mode = mode;
    this.stream = this.connect();
  }

  connect(): XdsStream {
    this.outbox = [];
    const limits = { ackTimeoutMs: 1e9, stageTimeoutMs: 1e9, maxNames: 1000, announceMissingSecrets: false };
    return new XdsStream(
      { mode: this.mode, onlyType: undefined, allowSecrets: true, ...limits },
      {
        encoder: this.encoder,
        counters: { responsesSent: 0, bytesSent: 0, acknowledged: 0, rejected: 0, overdue: 0, stale: 0 },
        table: (type) => this.tables.get(type),
        generation: () => this.generation,
        schedule: () => undefined,
        write: (bytes) => void this.outbox.push(bytes),
        end: (refusal, message) => assert.fail(`${refusal}: ${message}`),
        onReject: () => undefined,
        onAcknowledge: () => undefined,
        onOverdue: () => undefined,
      },
    );
  }

  set(type: TypeUrl, contents: readonly (number | null)[]): void {
    this.generation += 1;
    const next = new Map<string, Resource>();
    for (const [i, content] of contents.entries()) {
      const name = NAMES[i];
      if (content !== null && name !== undefined) next.set(name, resource(type, name, content));
    }
    this.tables.get(type)?.replace(type, next, this.generation);
  }

  /** Name → bytes of what there is. */
  truth(type: TypeUrl): Map<string, string> {
    const all = [...(this.tables.get(type)?.snapshot().resources ?? [])];
    return new Map(all.map(([name, { resource: r }]) => [name, Buffer.from(r.value).toString('hex')]));
  }
}

interface ClientType {
  opened: boolean;
  all: boolean;
  readonly names: Set<string>;
  /** Name → bytes. */
  readonly held: Map<string, string>;
  readonly versions: Map<string, string>;
}

/** A client of the incremental protocol that checks every response against what it asked for. */
class DeltaClient {
  readonly world: World;
  readonly types = new Map<string, ClientType>();
  #nonces = new Set<string>();

  constructor(world: World) {
    this.world = world;
    for (const type of TYPES)
      this.types.set(type, { opened: false, all: false, names: new Set(), held: new Map(), versions: new Map() });
  }

  type(typeUrl: string): ClientType {
    return this.types.get(typeUrl) ?? assert.fail(typeUrl);
  }

  send(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    this.world.stream.receive(
      Buffer.from(toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))),
    );
  }

  reconnect(): void {
    this.world.stream.close();
    this.world.stream = this.world.connect();
    this.#nonces = new Set();
    for (const [typeUrl, state] of this.types) {
      if (!state.opened) continue;
      for (const name of state.held.keys())
        if (!state.all && !state.names.has(name)) {
          state.held.delete(name);
          state.versions.delete(name);
        }
      const subscribe = [...state.names, ...(state.all ? ['*'] : [])];
      if (subscribe.length === 0) {
        state.opened = false;
        continue;
      }
      this.send({
        typeUrl,
        resourceNamesSubscribe: subscribe,
        initialResourceVersions: Object.fromEntries(state.versions),
      });
    }
  }

  change(kind: 'subscribe' | 'unsubscribe', type: TypeUrl, name: string): void {
    const state = this.type(type);
    const collective = type === TYPE_URL.cluster || type === TYPE_URL.listener;
    if (name === '*' && !collective) return;
    // The first request subscribes: an empty one would be a wildcard of its own kind.
    if (kind === 'unsubscribe' && !state.opened) return;
    state.opened = true;
    if (name === '*') state.all = kind === 'subscribe';
    else if (kind === 'subscribe') state.names.add(name);
    else state.names.delete(name);
    for (const held of state.held.keys())
      if (!state.all && !state.names.has(held)) {
        state.held.delete(held);
        state.versions.delete(held);
      }
    this.send({
      typeUrl: type,
      ...(kind === 'subscribe' ? { resourceNamesSubscribe: [name] } : { resourceNamesUnsubscribe: [name] }),
    });
  }

  /** Answers the oldest response; false when there is none. */
  answer(verdict: 'accept' | 'refuse' | 'blame'): boolean {
    const bytes = this.world.outbox.shift();
    if (bytes === undefined) return false;
    const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    this.check(response);
    const state = this.type(response.typeUrl);
    const victim = response.resources[0]?.name;
    for (const { name, version, resource: any } of response.resources) {
      if (!state.all && !state.names.has(name)) continue;
      if (verdict === 'refuse' || (verdict === 'blame' && name === victim)) continue;
      state.held.set(name, Buffer.from(any?.value ?? []).toString('hex'));
      // Envoy keeps no version of what came with something that it refused.
      if (verdict === 'accept') state.versions.set(name, version);
      else state.versions.delete(name);
    }
    if (verdict === 'accept')
      for (const name of response.removedResources) {
        state.held.delete(name);
        state.versions.delete(name);
      }
    const message = verdict === 'blame' && victim !== undefined ? `resource "${victim}" is bad` : 'bad';
    this.send({
      typeUrl: response.typeUrl,
      responseNonce: response.nonce,
      ...(verdict === 'accept' ? {} : { errorDetail: { message } }),
    });
    return true;
  }

  check({ nonce, typeUrl, resources, removedResources }: DeltaDiscoveryResponse): void {
    assert.ok(nonce !== '' && !this.#nonces.has(nonce), 'a new nonce');
    this.#nonces.add(nonce);
    const inFlight = this.world.outbox.map((bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes).typeUrl);
    assert.ok(!inFlight.includes(typeUrl), 'one response at a time');
    const names = [...resources.map(({ name }) => name), ...removedResources];
    assert.equal(new Set(names).size, names.length, `twice in one response: ${names.join(' ')}`);
  }

  drain(): void {
    for (let round = 0; round < 200; round += 1) {
      this.world.stream.sweep(performance.now() + 2e9);
      if (!this.answer('accept')) return;
    }
    assert.fail('it never ends');
  }
}

test('incremental: in the end the client has what there is', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const world = new World('delta');
      const client = new DeltaClient(world);
      let refused = false;
      for (const step of commands) {
        const type = 'type' in step ? (TYPES[step.type] ?? TYPE_URL.cluster) : TYPE_URL.cluster;
        if (step.kind === 'set') world.set(type, step.contents);
        else if (step.kind === 'flush') world.stream.flush();
        else if (step.kind === 'reconnect') client.reconnect();
        else if (step.kind === 'answer') {
          if (client.answer(step.verdict) && step.verdict !== 'accept') refused = true;
        } else client.change(step.kind, type, [...NAMES, '*'][step.name] ?? '*');
      }
      client.drain();
      if (refused) {
        // What was refused is mended.
        for (const type of TYPES)
          world.set(
            type,
            NAMES.map(() => 7),
          );
        client.drain();
      }
      for (const type of TYPES) {
        const { all, names, held, opened } = client.type(type);
        const truth = [...world.truth(type)].filter(([name]) => opened && (all || names.has(name)));
        assert.deepEqual(Object.fromEntries(held), Object.fromEntries(truth), type);
      }
      assert.ok(world.stream.upToDate);
      world.stream.close();
    }),
    { numRuns: 1000 },
  );
});

test('state of the world: in the end the client has what there is', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const world = new World('sotw');
      const names = new Map<string, Set<string>>();
      const held = new Map<string, Map<string, string>>(TYPES.map((type) => [type, new Map()]));
      const last = new Map<string, DiscoveryResponse>();
      const send = (typeUrl: string, error?: string): void => {
        const response = last.get(typeUrl);
        const request = create(DiscoveryRequestSchema, {
          typeUrl,
          resourceNames: [...(names.get(typeUrl) ?? [])],
          responseNonce: response?.nonce ?? '',
          versionInfo: error === undefined ? (response?.versionInfo ?? '') : '',
          ...(error === undefined ? {} : { errorDetail: { message: error } }),
        });
        world.stream.receive(Buffer.from(toBinary(DiscoveryRequestSchema, request)));
      };
      const nameOf = (typeUrl: string, value: Uint8Array): string => {
        if (typeUrl === TYPE_URL.cluster) return fromBinary(ClusterSchema, value).name;
        if (typeUrl === TYPE_URL.endpoint) return fromBinary(ClusterLoadAssignmentSchema, value).clusterName;
        return Buffer.from(value).toString().slice(1);
      };
      const isFull = (typeUrl: string): boolean => typeUrl === TYPE_URL.cluster || typeUrl === TYPE_URL.listener;
      const answer = (accept: boolean): boolean => {
        const bytes = world.outbox.shift();
        if (bytes === undefined) return false;
        const response = fromBinary(DiscoveryResponseSchema, bytes);
        last.set(response.typeUrl, response);
        const have = held.get(response.typeUrl) ?? assert.fail();
        if (accept && isFull(response.typeUrl)) have.clear();
        const got = response.resources.map(({ value }) => nameOf(response.typeUrl, value));
        assert.equal(new Set(got).size, got.length, 'twice in one response');
        if (accept)
          for (const [i, { value }] of response.resources.entries())
            have.set(got[i] ?? '', Buffer.from(value).toString('hex'));
        send(response.typeUrl, accept ? undefined : 'bad');
        return true;
      };
      const drain = (): void => {
        for (let round = 0; round < 200; round += 1) {
          world.stream.sweep(performance.now() + 2e9);
          if (!answer(true)) return;
        }
        assert.fail('it never ends');
      };
      for (const step of commands) {
        const type = 'type' in step ? (TYPES[step.type] ?? TYPE_URL.cluster) : TYPE_URL.cluster;
        if (step.kind === 'set') world.set(type, step.contents);
        else if (step.kind === 'flush') world.stream.flush();
        else if (step.kind === 'answer') answer(step.verdict === 'accept');
        else if (step.kind !== 'reconnect') {
          const name = [...NAMES, '*'][step.name] ?? '*';
          if (name === '*' && !isFull(type)) continue;
          const wanted = names.get(type) ?? new Set();
          if (step.kind === 'unsubscribe' && !names.has(type)) continue;
          names.set(type, wanted);
          if (step.kind === 'subscribe') wanted.add(name);
          else wanted.delete(name);
          send(type);
        }
      }
      drain();
      for (const type of TYPES)
        world.set(
          type,
          NAMES.map(() => 7),
        );
      drain();
      for (const [type, wanted] of names) {
        const truth = world.truth(type as TypeUrl);
        const have = held.get(type) ?? assert.fail();
        const isWanted = (name: string): boolean => wanted.has('*') || wanted.has(name);
        for (const [name, content] of truth)
          if (isWanted(name)) assert.equal(have.get(name), content, `${type} ${name}`);
        // What is not wanted the client drops; of what is gone it hears only where responses are complete.
        if (isFull(type))
          for (const name of have.keys()) assert.ok(!isWanted(name) || truth.has(name), `${type} ${name}`);
      }
      assert.ok(world.stream.upToDate);
      world.stream.close();
    }),
    { numRuns: 1000 },
  );
});
