// What a gateway's translation does again when something changes, and what it says of servers that serve nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Mesh } from '../../src/model/mesh.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { type ReadingState, readResources } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { ingressRole } from '../traffic/gateway-host.ts';
import { host } from './mesh-literals.ts';

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.test]}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.test], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 444, name: tls, protocol: TLS}, hosts: [b.test], tls: {mode: PASSTHROUGH}}
  - {port: {number: 445, name: mesh, protocol: HTTPS}, hosts: [c.test], tls: {mode: ISTIO_MUTUAL}}
`;

const WEB = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: 1}}]
`;

function rule(port: number, prefix: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: on-${port}}
spec:
  hosts: [a.test]
  gateways: [gw]
  http: [{match: [{port: ${port}, uri: {prefix: ${prefix}}}], route: [{destination: {host: web.test}}]}]
`;
}

function sequence(): (files: Readonly<Record<string, string>>) => Mesh {
  let state: ReadingState | undefined;
  let mesh: Mesh | undefined;
  return (files) => {
    state = readResources(
      state,
      Object.entries(files).map(([file, text]) => ({ file, text })),
    );
    mesh = buildMesh(mesh, {
      config: DEFAULT_MESH_CONFIG,
      resources: state.set,
      catalogue: undefined,
      localServices: [],
    });
    return mesh;
  };
}

const SELF: Host = host({ callerIdentity: undefined, gateways: [ingressRole()], credentialsFolder: '/credentials' });

test('a change makes again what it concerns', () => {
  const read = sequence();
  const files = { gw: GATEWAY, web: WEB, plain: rule(80, '/a'), secure: rule(443, '/b') };
  const translator = new Translator();
  const first = translator.translate(read(files), SELF);
  assert.deepEqual(translator.failures, []);
  assert.deepEqual(
    [...(first.get(TYPE_URL.listener)?.keys() ?? [])],
    ['127.0.0.1_443', '127.0.0.1_445', '127.0.0.1_80'],
  );
  const before = { ...translator.recomputed };

  assert.equal(translator.translate(read({ ...files }), SELF), first);
  assert.deepEqual(translator.recomputed, before, 'nothing changed');

  const mesh = read(files);
  const [only] = [...mesh.endpoints];
  assert.ok(only !== undefined);
  const [service, endpoints] = only;
  const moved = endpoints.map((one) => ({ ...one, ports: { 80: 2 } }));
  translator.translate({ ...mesh, endpoints: new Map([[service, moved]]) }, SELF);
  assert.deepEqual(translator.recomputed, { ...before, loadAssignments: before.loadAssignments + 1 });

  const now = { ...translator.recomputed };
  const changed = translator.translate(read({ ...files, secure: rule(443, '/c') }), SELF);
  assert.equal(translator.recomputed.listeners, now.listeners, 'listeners name their routes only');
  assert.equal(translator.recomputed.clusters, now.clusters);
  assert.deepEqual(
    [...(first.get(TYPE_URL.route) ?? [])]
      .filter(([name, resource]) => changed.get(TYPE_URL.route)?.get(name) !== resource)
      .map(([name]) => name),
    ['https.443.https.gw.default'],
  );
});

test('servers that serve nothing are told, with what to do', () => {
  const mesh = sequence()({ gw: GATEWAY, web: WEB, plain: rule(80, '/a') });
  const said = (self: Host): readonly string[] =>
    diagnose(mesh, self).map(({ code, object, path, message }) => [code, object, path, message].join(' | '));
  assert.deepEqual(said(SELF), [
    'TRY0420 | Gateway default/gw | port tls | no VirtualService is bound to it; connections are refused',
    'TRY0420 | Gateway default/gw | port mesh | no VirtualService is bound to it; requests are answered 404',
  ]);
  assert.ok(
    said({ ...SELF, gateways: [ingressRole({ identity: undefined })] }).includes(
      'TRY0421 | Gateway default/gw | port mesh | mode ISTIO_MUTUAL needs an identity of the mesh, and this host has none',
    ),
  );
  const { credentialsFolder: _, ...without } = SELF;
  assert.match(said(without).join('\n'), /TRY0421 .* no folder of credentials/);
  assert.match(
    said({ ...SELF, gateways: [ingressRole({ labels: {} })] }).join('\n'),
    /TRY0420 \| gateway default\/ingress \|  \| no Gateway selects it/,
  );
  assert.match(
    said({
      ...SELF,
      upstreams: [{ serviceHost: 'web.test', servicePort: 80, listen: { address: '127.0.0.1', port: 80 } }],
    }).join('\n'),
    /TRY0404 \| gateway default\/ingress at 127\.0\.0\.1:80/,
  );
});
