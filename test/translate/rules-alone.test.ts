/** Rules change again and again: what a translator makes of that step by step is what a new one makes of the end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { type ReadingState, type ResourceFile, readResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { host, upstream } from './mesh-literals.ts';

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
`,
).join('---\n');

/** A rule that may be there: its document. */
const virtualService = fc
  .record({
    of: fc.constantFrom(...NAMES, '*.default.mesh'),
    to: fc.constantFrom(...NAMES, 'nobody'),
    subset: fc.constantFrom('v1', 'v2', undefined),
    mirror: fc.constantFrom(...NAMES, undefined),
  })
  .map(
    ({ of, to, subset, mirror }) => `hosts: ["${of}"]
  http:
  - route: [{destination: {host: ${to}${subset === undefined ? '' : `, subset: ${subset}`}}}]
${mirror === undefined ? '' : `    mirror: {host: ${mirror}}\n`}`,
  );
const destinationRule = fc
  .record({
    of: fc.constantFrom(...NAMES, '*.default.mesh', 'nobody'),
    subsets: fc.subarray(['v1', 'v2']),
    simple: fc.constantFrom('RANDOM', 'ROUND_ROBIN'),
    hashed: fc.boolean(),
  })
  .map(
    ({ of, subsets, simple, hashed }) => `host: "${of}"
  trafficPolicy: {loadBalancer: ${hashed ? '{consistentHash: {useSourceIp: true}}' : `{simple: ${simple}}`}}
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
const files = fc
  .tuple(slots('VirtualService', virtualService), slots('DestinationRule', destinationRule))
  .map((both) => both.flat());
/** Each step changes some of the files of the one before. */
const steps = fc.array(fc.record({ files, kept: fc.integer({ min: 0, max: 255 }) }), { minLength: 2, maxLength: 8 });

const HOST = host({
  upstreams: [...NAMES.map((name, i) => upstream(name, 9001 + i)), upstream('a', 9010), upstream('nobody', 9011)],
  callerIdentity: undefined,
});

function contents(resources: Resources): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return Object.fromEntries(
    [...resources].map(([type, byName]) => [
      type,
      Object.fromEntries([...byName].map(([name, { value }]) => [name, Buffer.from(value).toString('base64')])),
    ]),
  );
}

test('step by step or at once, rules make the same', () => {
  const entries = { file: 'services.yaml', text: SERVICES };
  fc.assert(
    fc.property(steps, (all) => {
      const translator = new Translator();
      let mesh: Mesh | undefined;
      let reading: ReadingState | undefined;
      let last: readonly ResourceFile[] = [];
      for (const { files: next, kept } of all) {
        const names = [...new Set([...last, ...next].map(({ file }) => file))].toSorted();
        last = names.flatMap((name, i) => {
          const source = (kept >> i) % 2 === 1 ? last : next;
          return source.filter(({ file }) => file === name);
        });
        reading = readResources(reading, [entries, ...last]);
        mesh = buildMesh(mesh, {
          config: DEFAULT_MESH_CONFIG,
          resources: reading.set,
          catalogue: undefined,
          localServices: [],
        });
        assert.deepEqual(contents(translator.translate(mesh, HOST)), contents(new Translator().translate(mesh, HOST)));
      }
    }),
    { numRuns: 300 },
  );
});
