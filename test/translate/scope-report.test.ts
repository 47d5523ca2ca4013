import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { scopeReport } from '../../src/translate/view/scope-report.ts';

const SERVICES = ['reviews', 'ledger'].map((name) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name },
  spec: {
    hosts: [`${name}.default.mesh`],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    endpoints: [{ address: '10.0.0.1' }],
    ...(name === 'ledger' && { exportTo: ['payments'] }),
  },
}));

function report(...more: readonly object[]): readonly string[] {
  const text = [...SERVICES, ...more].map((document) => JSON.stringify(document)).join('\n---\n');
  const mesh = buildMesh(undefined, {
    config: DEFAULT_MESH_CONFIG,
    resources: parseResources([{ file: 'in.yaml', text }]),
    catalogue: undefined,
    localServices: [],
  });
  return scopeReport(mesh, {
    nodeId: 'a',
    nodeCluster: 'a',
    locality: { region: '', zone: '', subzone: '' },
    workloads: [],
    upstreams: ['reviews', 'ledger'].map((name, i) => ({
      serviceHost: `${name}.default.mesh`,
      servicePort: undefined,
      listen: { address: '127.0.0.1', port: 9000 + i },
    })),
    callerIdentity: undefined,
    healthListener: { address: '127.0.0.1', port: 15021 },
  }).map(formatDiagnostic);
}

test('an upstream that is not exported to its caller', () => {
  assert.deepEqual(report(), [
    'warning TRY0432 upstream ledger.default.mesh at 127.0.0.1:9001: ledger.default.mesh is not exported to default, the namespace of its caller; calls fail. Add the namespace to "exportTo" of the service, or remove the upstream.',
  ]);
});

test('an upstream that a Sidecar leaves out', () => {
  const sidecar = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'narrow' },
    spec: { egress: [{ hosts: ['~/*'] }] },
  };
  const [first, second] = report(sidecar);
  assert.match(first ?? '', /in\.yaml:5: warning TRY0432 upstream reviews.*the Sidecar default\/narrow keeps reviews/);
  assert.match(second ?? '', /TRY0432 upstream ledger/);
});
