/** After any sequence of changes there is what a start from nothing would give: nothing stays of what was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Mesh } from '../../src/model/mesh.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources, type ReadingState, readResources } from '../../src/sources/resource-reader.ts';
import { Translator } from '../../src/translate/translator.ts';
import { anyHost } from './any-host.ts';
import { anyResources } from './any-resources.ts';
import { anyConfig, bytes, tries } from './drawn.ts';
import { filesOf, type Written } from './words.ts';

/** A faulty resource would leave its last good version in force, which is no fault of the memory. */
function isValid(resource: Written): boolean {
  return parseResources(filesOf([resource])).diagnostics.every(({ severity }) => severity !== 'error');
}

const pool = anyResources.map((all) => all.filter(isValid));
const MOST = 14;
const aVersion = fc.constantFrom(0, 1, 1, 1, 2);
const everything = fc.array(aVersion, { minLength: MOST, maxLength: MOST });
/** What is otherwise at a step: mostly one or two resources, or where they are used. */
const aChange = fc.record({
  versions: fc.oneof(
    { weight: 5, arbitrary: fc.array(fc.tuple(fc.nat(MOST - 1), aVersion), { maxLength: 2 }) },
    { weight: 1, arbitrary: everything.map((all) => all.map((version, i) => [i, version] as const)) },
  ),
  config: fc.constantFrom(0, 0, 0, 0, 1),
  host: fc.constantFrom(0, 0, 0, 0, 1),
});

/** Of one kind and name there are two versions; 0 is neither. */
function chosen(pools: readonly (readonly Written[])[], present: readonly number[]): readonly Written[] {
  const byFile = new Map<string, Written>();
  for (const [version, all] of pools.entries())
    for (const [i, resource] of all.entries())
      if (present[i] === version + 1) byFile.set(`${resource.kind}/${String(resource.metadata['name'])}`, resource);
  return [...byFile.values()];
}

/** A mesh without what is known of where its objects came from. */
function plain(mesh: Mesh): unknown {
  const maps = { services: [...mesh.services], endpoints: [...mesh.endpoints] };
  return JSON.parse(
    JSON.stringify({ ...mesh, ...maps }, (_, value: unknown) => (value instanceof Map ? [...value] : value)),
  );
}

test('a mesh and a translation after any changes are those of a start', () => {
  const aCase = fc.record({
    pools: fc.tuple(pool, pool),
    configs: fc.tuple(anyConfig, anyConfig),
    hosts: fc.tuple(anyHost, anyHost),
    first: everything,
    changes: fc.array(aChange, { minLength: 2, maxLength: 8 }),
  });
  fc.assert(
    fc.property(aCase, ({ pools, configs, hosts, first, changes }) => {
      const present = [...first];
      let state: ReadingState | undefined;
      let mesh: Mesh | undefined;
      const translator = new Translator();
      for (const step of changes) {
        for (const [i, version] of step.versions) present[i] = version;
        const files = filesOf(chosen(pools, present));
        const config = configs[step.config] ?? configs[0];
        const host = hosts[step.host] ?? hosts[0];
        const inputs = { config, catalogue: undefined, localServices: [] };
        state = readResources(state, files);
        mesh = buildMesh(mesh, { ...inputs, resources: state.set });
        const made = bytes(translator.translate(mesh, host));

        const anew = buildMesh(undefined, { ...inputs, resources: parseResources(files) });
        const fresh = new Translator();
        const expected = bytes(fresh.translate(anew, host));
        assert.deepEqual(plain(mesh), plain(anew), 'the mesh');
        assert.deepEqual(made, expected, 'the resources');
        assert.deepEqual(translator.failures, fresh.failures, 'what failed');
      }
    }),
    tries(200),
  );
});
