import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(spec: string): ReturnType<typeof parseResources> {
  const head =
    'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: shop}\nspec:';
  return parseResources([{ file: 'a.yaml', text: `${head}${spec}` }]);
}

const good: readonly (readonly [string, string, unknown])[] = [
  ['an empty spec', ' {}\n', { selector: undefined, mode: undefined, portModes: new Map() }],
  ['no spec', '\n', { selector: undefined, mode: undefined, portModes: new Map() }],
  ['a mode', ' {mtls: {mode: STRICT}}\n', { selector: undefined, mode: 'STRICT', portModes: new Map() }],
  ['an unset mode', ' {mtls: {mode: UNSET}}\n', { selector: undefined, mode: undefined, portModes: new Map() }],
  [
    'modes of ports',
    ' {selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: DISABLE}, "9090": {mode: UNSET}}}\n',
    { selector: { app: 'web' }, mode: undefined, portModes: new Map([[8080, 'DISABLE']]) },
  ],
];

for (const [what, spec, expected] of good)
  test(`a PeerAuthentication with ${what}`, () => {
    const { peerAuthentications, diagnostics } = read(spec);
    assert.deepEqual(diagnostics, []);
    const [{ meta, ...rest } = { meta: undefined }] = peerAuthentications;
    assert.equal(meta?.namespace, 'shop');
    assert.deepEqual(rest, expected);
  });

const bad: readonly (readonly [string, string, string])[] = [
  [
    'a mode that does not exist',
    '\n  mtls: {mode: STRICKT}\n',
    'a.yaml:5: error IST0106 PeerAuthentication shop/a spec.mtls.mode: "STRICKT" is not one of the values (the resource is not applied). Did you mean "STRICT"? Use one of: UNSET, DISABLE, PERMISSIVE, STRICT.',
  ],
  [
    'modes of ports for all workloads',
    '\n  portLevelMtls: {8080: {mode: DISABLE}}\n',
    'a.yaml:5: error IST0106 PeerAuthentication shop/a spec.portLevelMtls: needs a selector (the resource is not applied). Add "selector.matchLabels" for the workloads that have the ports.',
  ],
  [
    'a mode of something that is no port',
    '\n  selector: {matchLabels: {a: b}}\n  portLevelMtls:\n    http: {mode: DISABLE}\n',
    'a.yaml:7: error IST0106 PeerAuthentication shop/a spec.portLevelMtls.http: "http" is not a port (the resource is not applied). Write a number from 1 to 65535.',
  ],
];

for (const [what, spec, expected] of bad)
  test(`a PeerAuthentication with ${what}`, () => {
    const { peerAuthentications, diagnostics } = read(spec);
    assert.deepEqual(diagnostics.map(formatDiagnostic), [expected]);
    assert.deepEqual(peerAuthentications, []);
  });
