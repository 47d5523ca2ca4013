/** Whatever external services there are: Envoy takes the listener of captured calls, whose chains must not be alike. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ListenerSchema } from '../../src/gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '../../src/gen/envoy/config/route/v3/route_pb.ts';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import type { Protocol, Resolution, Service } from '../../src/model/service.ts';
import type { VirtualService } from '../../src/model/virtual-service.ts';
import { Translator } from '../../src/translate/translator.ts';
import { type Resources, TYPE_URL } from '../../src/xds/resource.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary } from '../support/tools.ts';
import { endpoint, host, mesh, service } from './mesh-literals.ts';
import { staticBootstrap } from './static-bootstrap.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const HOSTS = ['a.example.com', 'A.example.com', '*.example.com', '*.a.example.com', 'b', '10.1.0.1', 'c.default.mesh'];
const NAMES = [...HOSTS, '*', 'a.example.com.'];
const RANGES = [
  '10.1.0.1',
  '10.1.0.1/32',
  '10.1.0.0/16',
  '10.1.2.3/16',
  '10.0.0.0/8',
  '0.0.0.0/0',
  'fd00::/8',
  'fd00:0::1',
  '240.240.0.1',
];
const PROTOCOLS: readonly Protocol[] = ['HTTP', 'HTTP2', 'GRPC', 'HTTPS', 'TLS', 'TCP', 'AUTO'];
const RESOLUTIONS: readonly Resolution[] = ['EDS', 'STRICT_DNS', 'LOGICAL_DNS', 'ORIGINAL_DST', 'DYNAMIC_DNS'];
const META = {
  kind: 'VirtualService',
  namespace: 'default',
  name: 'x',
  labels: {},
  source: { file: 'x', line: 1 },
  age: 0,
};

const someRanges = fc.uniqueArray(fc.constantFrom(...RANGES), { maxLength: 3 });
const port = fc.constantFrom(80, 443, 15_001);
const services = fc.uniqueArray(
  fc.record({
    host: fc.constantFrom(...HOSTS),
    ports: fc.uniqueArray(fc.record({ number: port, protocol: fc.constantFrom(...PROTOCOLS) }), {
      selector: ({ number }) => number,
      minLength: 1,
      maxLength: 3,
    }),
    resolution: fc.constantFrom(...RESOLUTIONS),
    addresses: fc.option(someRanges, { nil: undefined }),
    aliases: fc.subarray(['a.example.com', 'other.example.com', '10.1.0.1']),
  }),
  { selector: ({ host: name }) => name, maxLength: 6 },
);
const destination = fc.record({
  host: fc.constantFrom(...HOSTS),
  subset: fc.constant(undefined),
  port: fc.option(port, { nil: undefined }),
  weight: fc.constantFrom(0, 1, 5),
});
const connection = fc.record({ destinationSubnets: someRanges, port: fc.option(port, { nil: undefined }) });
const rules = fc.array(
  fc.record({
    hosts: fc.uniqueArray(fc.constantFrom(...HOSTS), { minLength: 1, maxLength: 2 }),
    tls: fc.array(
      fc.record({
        match: fc.array(
          connection.chain((match) =>
            fc
              .uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
              .map((sniHosts) => ({ ...match, sniHosts })),
          ),
          { minLength: 1, maxLength: 3 },
        ),
        destinations: fc.array(destination, { minLength: 1, maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
    tcp: fc.array(
      fc.record({
        match: fc.array(connection, { maxLength: 2 }),
        destinations: fc.array(destination, { minLength: 1, maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
  }),
  { maxLength: 3 },
);

const SELF: Host = host({
  callerIdentity: undefined,
  callers: [{ identity: undefined, namespace: 'default', capturePort: 15_001, everywhere: true }],
  namedUpstreams: [{ serviceHost: 'c.default.mesh', addresses: ['240.240.0.1'] }],
});

interface Drawn {
  readonly services: typeof services extends fc.Arbitrary<infer T> ? T : never;
  readonly rules: typeof rules extends fc.Arbitrary<infer T> ? T : never;
}

function meshOf(drawn: Drawn): Mesh {
  const all = drawn.services.map(({ host: name, ports, resolution, addresses, aliases }): Service => {
    const rest = addresses === undefined ? {} : { addresses };
    const own = ports.map((one) => ({ ...one, name: `p${one.number}` }));
    return service('x', 'TCP', {
      host: name,
      name,
      consulName: undefined,
      aliases,
      ports: own,
      tls: 'plain',
      identities: [],
      resolution,
      external: true,
      ...rest,
    });
  });
  const virtualServices = drawn.rules.map((rule): VirtualService => ({ meta: META, http: [], exportTo: [], ...rule }));
  const ports = { 80: 8080, 443: 8443, 15_001: 8081 };
  return mesh(
    all.map((one) => [one, [endpoint('10.0.0.9', 8080, { ports })]]),
    { virtualServices },
  );
}

function translate(drawn: Drawn): Resources {
  const translator = new Translator();
  const resources = translator.translate(meshOf(drawn), SELF);
  assert.deepEqual(translator.failures, []);
  return resources;
}

/** What Envoy would refuse: two chains with one match, two virtual hosts with one domain. */
function assertApart(resources: Resources): void {
  for (const { name, value } of resources.get(TYPE_URL.listener)?.values() ?? []) {
    const seen = new Set<string>();
    for (const { filterChainMatch: match } of fromBinary(ListenerSchema, value).filterChains) {
      assert.ok(match, name);
      const anyOf = (list: readonly string[]): readonly string[] => (list.length === 0 ? [''] : list);
      const ranges = match.prefixRanges.map(({ addressPrefix, prefixLen }) => `${addressPrefix}/${prefixLen ?? 0}`);
      for (const range of anyOf(ranges))
        for (const server of anyOf(match.serverNames))
          for (const protocol of anyOf(match.applicationProtocols)) {
            const key = [match.destinationPort, range, server, match.transportProtocol, protocol].join(' ');
            assert.ok(!seen.has(key), `${name}: ${key} twice`);
            seen.add(key);
          }
    }
  }
  for (const { name, value } of resources.get(TYPE_URL.route)?.values() ?? []) {
    const domains = fromBinary(RouteConfigurationSchema, value).virtualHosts.flatMap((one) => one.domains);
    assert.equal(new Set(domains).size, domains.length, `${name}: ${domains.join(' ')}`);
  }
}

const drawn = fc.record({ services, rules });

test('no two chains and no two virtual hosts are alike', () => {
  fc.assert(
    fc.property(drawn, (one) => assertApart(translate(one))),
    { numRuns: 500 },
  );
});

test('Envoy takes them', async (t) => {
  const dir = await tempDir(t);
  const run = promisify(execFile);
  const path = join(dir, 'bootstrap.json');
  for (const one of fc.sample(drawn, 15)) {
    const bootstrap = await staticBootstrap(translate(one), { nodeId: 'x', secrets: [] });
    await writeFile(path, JSON.stringify(bootstrap));
    await run(envoyBinary(), ['--mode', 'validate', '--disable-hot-restart', '-c', path]).catch((cause: unknown) => {
      throw new Error(`Envoy refuses ${JSON.stringify(one)}`, { cause });
    });
  }
});
