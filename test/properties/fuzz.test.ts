/** Files with faults at random: nothing falls, what has no fault holds, and Envoy takes what is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { analyze } from '../../src/analysis/analyze.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { type ReadingState, readResources } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { listenerName } from '../../src/translate/names.ts';
import { Translator } from '../../src/translate/translator.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { tempDir } from '../support/temp-dir.ts';
import { spiffe } from '../translate/mesh-literals.ts';
import { refusal } from '../translate/refusal.ts';
import { anyHost, identitiesOf } from './any-host.ts';
import { anyResources } from './any-resources.ts';
import { anyConfig, tries } from './drawn.ts';
import { mutated } from './mutations.ts';
import { filesOf, type Written } from './words.ts';

const OF_PATCHES = new Set(['TRY0409', 'TRY0410']);
const GOOD = 'good.default.mesh';
const SOCKET = { path: '/run/good.sock' };

function networking(kind: string, spec: unknown): Written {
  const metadata = { name: 'good', creationTimestamp: '2020-01-01T00:00:00Z' };
  return { apiVersion: 'networking.istio.io/v1', kind, metadata, spec };
}

/** What others must not take away. */
const BYSTANDERS = {
  file: 'good.yaml',
  text: [
    networking('ServiceEntry', {
      hosts: [GOOD],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: '10.1.0.1' }],
    }),
    networking('VirtualService', {
      hosts: [GOOD],
      http: [{ route: [{ destination: { host: GOOD } }], timeout: '7s' }],
    }),
    networking('DestinationRule', { host: GOOD, trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } } }),
  ]
    .map((one) => stringify(one))
    .join('---\n'),
};

interface Step {
  readonly text: string;
  readonly resources: readonly Written[];
}

const aStep: fc.Arbitrary<Step> = anyResources.chain((resources) => {
  const few = resources.slice(0, 5);
  return mutated(few).map((text) => ({ text, resources: few }));
});

const aCase = fc.record({ before: aStep, after: aStep, config: anyConfig, host: anyHost });

function assertStands(mesh: Mesh): void {
  assert.equal(mesh.services.get(GOOD)?.ports[0]?.number, 9080);
  assert.equal(mesh.endpoints.get(GOOD)?.length, 1);
  assert.ok(mesh.virtualServices.some(({ hosts, http }) => hosts[0] === GOOD && http[0]?.timeoutMs === 7000));
  assert.ok(mesh.destinationRules.some(({ host, meta }) => host === GOOD && meta.name === 'good'));
}

test('mutated resources take nothing down', async (t) => {
  const dir = await tempDir(t);
  await fc.assert(
    fc.asyncProperty(aCase, async ({ before, after, config, host: drawn }) => {
      const upstream = { serviceHost: GOOD, servicePort: 9080, listen: SOCKET, caller: spiffe('a') };
      const host = { ...drawn, upstreams: [upstream, ...drawn.upstreams] };
      const translator = new Translator();
      let state: ReadingState | undefined;
      let mesh: Mesh | undefined;
      // Whole, with faults, with others, and whole again: last good versions come and go.
      for (const [files, isMutated] of [
        [filesOf(before.resources), false],
        [[{ file: 'm.yaml', text: before.text }], true],
        [[{ file: 'm.yaml', text: after.text }], true],
        [filesOf(after.resources), false],
      ] as const) {
        state = readResources(state, [BYSTANDERS, ...files]);
        mesh = buildMesh(mesh, { config, resources: state.set, catalogue: undefined, localServices: [] });
        assertStands(mesh);
        const made = translator.translate(mesh, host);
        const failed = translator.failures.filter(({ code }) => !OF_PATCHES.has(code));
        assert.deepEqual(failed, []);
        const said = [...mesh.diagnostics, ...diagnose(mesh, host), ...analyze(mesh, { mayBeElsewhere: false })];
        for (const { code, message, remedy, source } of said)
          assert.ok(
            message !== '' && remedy !== undefined && (source === undefined || source.line > 0),
            `${code}: ${message}`,
          );
        assert.ok(made.get(TYPE_URL.listener)?.has(listenerName(SOCKET)));
        const refused = isMutated ? await refusal(made, [spiffe('a'), ...identitiesOf(host)], dir) : undefined;
        if (refused === undefined) continue;
        // What a patch brings is for Envoy alone to judge; without patches it takes all the rest.
        const unpatched = buildMesh(undefined, {
          config: { ...config, envoyFilterNamespaces: [] },
          resources: state.set,
          catalogue: undefined,
          localServices: [],
        });
        const rest = new Translator().translate(unpatched, host);
        assert.equal(await refusal(rest, [spiffe('a'), ...identitiesOf(host)], dir), undefined, refused);
      }
    }),
    tries(70),
  );
});
