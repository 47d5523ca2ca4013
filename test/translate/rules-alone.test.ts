/** Rules and services change again and again: what a translator makes of that step by step is what a new one makes of the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { type ReadingState, type ResourceFile, readResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { host, spiffe, upstream, workload } from './mesh-literals.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

const NAMES = ['a', 'b', 'c'];
const HEAD = 'apiVersion: networking.istio.io/v1\n';

const SERVICES = NAMES.map(
  (name) => `${HEAD}kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: main, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1, labels: {v: v1}}, {address: 10.0.0.2, labels: {v: v2}}]
---
${HEAD}kind: ServiceEntry
metadata: {name: ${name}-outside}
spec:
  hosts: [${name}.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: main, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}, {number: 6000, name: tcp, protocol: TCP}]
`,
).join('---\n');

const GATEWAY = `${HEAD}kind: Gateway
metadata: {name: public}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}
`;

const SIDECAR = `${HEAD}kind: Sidecar
metadata: {name: all, namespace: default}
spec:
  egress:
  - hosts: ["./a.default.mesh", "./b.default.mesh", "./*.example.com"]
`;

/** A rule that may be there: its document. */
const virtualService = fc
  .record({
    of: fc.constantFrom(...NAMES, '*.default.mesh', 'a.example.com', '*.example.com', 'unknown.example.com'),
    to: fc.constantFrom(...NAMES, 'nobody', 'b.example.com'),
    at: fc.constantFrom('', 'gateways: [public]', 'gateways: [mesh, public]'),
    tcp: fc.boolean(),
    exportTo: fc.constantFrom('', 'exportTo: ["."]'),
    subset: fc.constantFrom('v1', 'v2', undefined),
    mirror: fc.constantFrom(...NAMES, undefined),
  })
  .map(
    ({ of, to, subset, mirror, at, tcp, exportTo }) => `hosts: ["${of}"]
  ${at}
  ${exportTo}
${tcp ? `  tcp: [{route: [{destination: {host: ${to}}}]}]\n` : ''}  http:
  - route: [{destination: {host: ${to}${subset === undefined ? '' : `, subset: ${subset}`}}}]
${mirror === undefined ? '' : `    mirror: {host: ${mirror}}\n`}`,
  );
const destinationRule = fc
  .record({
    of: fc.constantFrom(...NAMES, '*.default.mesh', 'nobody'),
    subsets: fc.subarray(['v1', 'v2']),
    exportTo: fc.constantFrom('', 'exportTo: ["."]'),
    simple: fc.constantFrom('RANDOM', 'ROUND_ROBIN'),
    hashed: fc.boolean(),
    most: fc.constantFrom(10, 20),
  })
  .map(
    ({ of, subsets, simple, hashed, exportTo, most }) => `host: "${of}"
  ${exportTo}
  trafficPolicy:
    loadBalancer: ${hashed ? '{consistentHash: {useSourceIp: true}}' : `{simple: ${simple}}`}
    connectionPool: {tcp: {maxConnections: ${most}}}
  subsets: [${subsets.map((name) => `{name: ${name}, labels: {v: ${name}}}`).join(', ')}]
`,
  );
/** A file for each rule, or none: what does not change keeps its object. */
const slots = (kind: string, of: fc.Arbitrary<string>): fc.Arbitrary<readonly ResourceFile[]> =>
  fc
    .array(fc.option(of, { nil: undefined }), { minLength: 4, maxLength: 4 })
    .map((all) =>
      all.flatMap((spec, i) =>
        spec === undefined
          ? []
          : [{ file: `${kind}${i}.yaml`, text: `${HEAD}kind: ${kind}\nmetadata: {name: r${i}}\nspec:\n  ${spec}` }],
      ),
    );
/** A service that may be there beside those that are always; of `a.example.com` it is another than theirs. */
const serviceEntry = fc
  .record({
    of: fc.constantFrom(
      'unknown.example.com',
      'a.example.com',
      '*.example.com',
      'nobody.default.mesh',
      '0.example.com',
    ),
    ports: fc.constantFrom(
      '[{number: 80, name: main, protocol: HTTP}]',
      '[{number: 6000, name: tcp, protocol: TCP}, {number: 80, name: main, protocol: HTTP2}]',
      '[{number: 443, name: tls, protocol: TLS}, {number: 6000, name: tcp, protocol: TCP}]',
    ),
    address: fc.constantFrom('10.1.0.1', '10.1.0.2'),
    location: fc.constantFrom('MESH_INTERNAL', 'MESH_EXTERNAL'),
    addresses: fc.constantFrom('', 'addresses: [10.2.0.1]'),
    resolution: fc.constantFrom('STATIC', 'DNS', 'DYNAMIC_DNS'),
  })
  .map(({ of, ports, address, location, addresses, resolution }) => {
    const how =
      resolution === 'STATIC' || !of.startsWith('*') ? `STATIC\n  endpoints: [{address: ${address}}]` : resolution;
    return `hosts: ["${of}"]
  location: ${location}
  ${addresses}
  ports: ${ports}
  resolution: ${how}
`;
  });
const files = fc
  .tuple(
    slots('VirtualService', virtualService),
    slots('DestinationRule', destinationRule),
    slots('ServiceEntry', serviceEntry),
  )
  .map((both) => both.flat());
/** Each step changes some of the files of the one before. */
const steps = fc.array(fc.record({ files, kept: fc.integer({ min: 0, max: 4095 }) }), { minLength: 2, maxLength: 8 });

const CALLERS: NonNullable<Host['callers']> = [
  { identity: spiffe('anna'), namespace: 'default', capturePort: 15001 },
  { identity: spiffe('bert', 'payments'), namespace: 'payments', capturePort: 15101 },
];
const NAMED = NAMES.map((name, i) => ({ serviceHost: `${name}.default.mesh`, addresses: [`240.240.0.${i + 1}`] }));

const PROXY: NonNullable<Host['proxy']> = {
  listen: { address: '127.0.0.1', port: 15080 },
  gate: { path: '/run/trysail/gate.sock' },
};

/** Every way in which hosts call, and what of the mesh beside rules is their own. */
const HOSTS: Readonly<Record<string, { readonly host: Host; readonly also?: string }>> = {
  upstreams: {
    host: host({
      upstreams: [...NAMES.map((name, i) => upstream(name, 9001 + i)), upstream('a', 9010), upstream('nobody', 9011)],
      callerIdentity: undefined,
    }),
  },
  'upstreams of a Sidecar': {
    host: host({ upstreams: NAMES.map((name, i) => upstream(name, 9001 + i)) }),
    also: SIDECAR,
  },
  'captured calls': { host: host({ namedUpstreams: NAMED, callers: CALLERS.slice(0, 1) }) },
  'captured calls of a Sidecar': {
    host: host({ namedUpstreams: NAMED, callers: CALLERS.slice(0, 1) }),
    also: SIDECAR,
  },
  'a service of its own': {
    host: host({ workloads: [workload('a', 'HTTP', 7001, 8001)], upstreams: [upstream('b', 9001)] }),
  },
  'captured calls, names and a proxy': {
    host: host({
      namedUpstreams: [...NAMED, { serviceHost: 'nobody.default.mesh', addresses: ['127.240.0.9'] }],
      callers: CALLERS.slice(0, 1),
      dns: { listen: { address: '127.0.0.1', port: 15053 } },
      proxy: PROXY,
    }),
  },
  'several identities': { host: host({ namedUpstreams: NAMED, callers: CALLERS, callerIdentity: undefined }) },
  'a gateway with callers': {
    host: host({
      upstreams: [upstream('a', 9001)],
      gateways: [
        {
          namespace: 'default',
          name: 'public',
          serviceHost: 'public.default.mesh',
          labels: { app: 'gateway' },
          identity: spiffe('gateway'),
          address: '0.0.0.0',
        },
      ],
    }),
    also: GATEWAY,
  },
};

function contents(resources: Resources): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return Object.fromEntries(
    [...resources].map(([type, byName]) => [
      type,
      Object.fromEntries([...byName].map(([name, { value }]) => [name, Buffer.from(value).toString('base64')])),
    ]),
  );
}

for (const [name, { host: self, also }] of Object.entries(HOSTS))
  test(`step by step or at once, rules make the same: ${name}`, () => {
    const entries = { file: 'services.yaml', text: [SERVICES, ...(also === undefined ? [] : [also])].join('---\n') };
    fc.assert(
      fc.property(steps, (all) => {
        const translator = new Translator();
        let mesh: Mesh | undefined;
        let reading: ReadingState | undefined;
        let last: readonly ResourceFile[] = [];
        for (const { files: next, kept } of all) {
          const names = [...new Set([...last, ...next].map(({ file }) => file))].toSorted();
          last = names.flatMap((one, i) => {
            const source = (kept >> i) % 2 === 1 ? last : next;
            return source.filter(({ file }) => file === one);
          });
          reading = readResources(reading, [entries, ...last]);
          mesh = buildMesh(mesh, {
            config: DEFAULT_MESH_CONFIG,
            resources: reading.set,
            catalogue: undefined,
            localServices: [],
          });
          assert.deepEqual(
            contents(translator.translate(mesh, self)),
            contents(new Translator().translate(mesh, self)),
          );
        }
      }),
      { numRuns: 30 },
    );
  });
