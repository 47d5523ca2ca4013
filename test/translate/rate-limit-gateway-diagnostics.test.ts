/** What is told of rate limits at gateways that do less than they should. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import type { GatewayRole } from '../../src/model/host.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { host } from './mesh-literals.ts';

const SERVERS = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"]}
  - {port: {number: 443, name: partners, protocol: HTTPS}, hosts: [p.example.com], tls: {mode: MUTUAL, credentialName: p}}
  - {port: {number: 5432, name: db, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 8443, name: passed, protocol: HTTPS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: elsewhere}
spec:
  selector: {istio: elsewhere}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---`;

const EDGE: GatewayRole = {
  namespace: 'default',
  name: 'edge',
  serviceHost: 'edge.default.mesh',
  labels: { istio: 'edge' },
  identity: undefined,
  address: '127.0.0.1',
};

/** What is said of a RateLimit with this spec, where it stands. */
function said(spec: string, { role = EDGE, namespace = 'default' } = {}): readonly string[] {
  const text = `${SERVERS}\napiVersion: trysail.dev/v1\nkind: RateLimit\nmetadata: {name: edge, namespace: ${namespace}}\nspec: ${spec}\n`;
  const resources = parseResources([{ file: 'in.yaml', text }]);
  assert.deepEqual(resources.diagnostics, []);
  const inputs = { config: DEFAULT_MESH_CONFIG, resources, catalogue: undefined, localServices: [] };
  const mesh = buildMesh(undefined, inputs);
  return [...mesh.diagnostics, ...diagnose(mesh, host({ gateways: [role] }))]
    .filter(({ object }) => object?.startsWith('RateLimit') === true)
    .map(formatDiagnostic);
}

const ONE = 'limits: [{name: a, requests: 1, per: 1s}]';

test('nothing to tell', () => {
  assert.deepEqual(said(`{gateway: gw, ${ONE}}`), []);
  assert.deepEqual(said(`{gateway: gw, hosts: [a.example.com, other.example.org], ports: [80], ${ONE}}`), []);
  assert.deepEqual(said(`{gateway: default/gw, ${ONE}}`, { namespace: 'istio-system' }), []);
  assert.deepEqual(said(`{gateway: elsewhere, hosts: [nobody.test], ${ONE}}`), [], 'another host serves it');
});

test('whoever may not limit the Gateway is told, and nothing else', () => {
  const [told = '', ...others] = said(`{gateway: default/gw, hosts: [nobody.test], ${ONE}}`, { namespace: 'shop' });
  assert.match(told, /TRY0411 .*spec\.gateway.*Gateway default\/gw is of namespace default/);
  assert.deepEqual(others, []);
});

test('ports and hosts that no server has, and what has no requests', () => {
  assert.match(said(`{gateway: gw, ports: [81], ${ONE}}`).join(), /TRY0412 .*spec\.ports.*has no port 81.*80, 443/);
  assert.match(
    said(`{gateway: gw, hosts: [nobody.test], ${ONE}}`).join(),
    /TRY0412 .*spec\.hosts: no server of Gateway default\/gw takes nobody\.test/,
  );
  assert.match(said(`{gateway: gw, ports: [443], hosts: [a.example.com], ${ONE}}`).join(), /takes a\.example\.com/);
  for (const port of [5432, 8443])
    assert.match(said(`{gateway: gw, ports: [${port}], ${ONE}}`).join(), /TRY0412 .*no requests/);
});

test('callers, where nobody asks who they are', () => {
  const limits =
    'limits: [{name: a, requests: 1, per: 1s}, {name: b, match: [{callers: [ns/a]}], requests: 1, per: 1s}]';
  assert.match(
    said(`{gateway: gw, ports: [80], ${limits}}`).join(),
    /TRY0412 .*spec\.limits\[1\]\.match: limit b never counts: no server of Gateway default\/gw asks/,
  );
  assert.deepEqual(said(`{gateway: gw, ${limits}}`), []);
});

test('a limit of the fleet, where nobody knows how many gateways there are', () => {
  const fleet = `{gateway: gw, ${ONE.replace('1s', '1s, scope: fleet')}}`;
  assert.match(said(fleet).join(), /TRY0415 .*spec\.limits\[0\]\.scope: limit a is not shared.*Set "register"/);
  assert.deepEqual(said(fleet, { role: { ...EDGE, registered: { address: '127.0.0.1', port: 80 } } }), []);
});

test('a server that is not known', () => {
  const spec = `{gateway: gw, server: {host: nowhere}, ${ONE}}`;
  assert.match(said(spec).join(), /TRY0413 .*spec\.server: nothing is known of nowhere\.default\.mesh/);
  assert.deepEqual(said(spec.replace('gw', 'elsewhere')), []);
});
