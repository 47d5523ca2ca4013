import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MESH_CONFIG } from '../model/mesh-config.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import { parseResources } from '../sources/resource-reader.ts';
import { meantHost } from './called-names.ts';

const TEXT = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [Api.Example.com, web.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
`;

const MESH = buildMesh(undefined, {
  config: DEFAULT_MESH_CONFIG,
  resources: parseResources([{ file: 'in.yaml', text: TEXT }]),
  catalogue: undefined,
  localServices: [],
});

test('a name means a service of the mesh, or one that it may have', () => {
  const meant = ['web.example.com', 'reviews.shop.mesh', 'reviews.mesh', 'www.example.com', 'localhost', ''].map(
    (name) => meantHost(MESH, name),
  );
  assert.deepEqual(meant, [
    'web.example.com',
    'reviews.shop.mesh',
    'reviews.default.mesh',
    undefined,
    undefined,
    undefined,
  ]);
});

class Counted<K, V> extends Map<K, V> {
  looked = 0;

  override values(): ReturnType<Map<K, V>['values']> {
    this.looked++;
    return super.values();
  }
}

test('many questions do not look at every service each', () => {
  const services = new Counted(MESH.services);
  const mesh = { ...MESH, services };
  for (let i = 0; i < 100; i++) assert.equal(meantHost(mesh, `n${i}.example.com`), undefined);
  assert.equal(services.looked, 1);
});
