import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationOf } from './configuration.ts';
import { unknownNameNote } from './unknown-name.ts';

const entry = (name: string, host: string, address: string): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: [${host}]
  location: ${host.endsWith('.mesh') ? 'MESH_INTERNAL' : 'MESH_EXTERNAL'}
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: ${address} }]
`;
const text = [entry('reviews', 'reviews.shop.mesh', '10.0.0.1'), entry('api', 'api.example.com', '10.0.0.2')].join(
  '---\n',
);
const { mesh } = configurationOf([{ file: 'in.yaml', text }]);

test('a name that is no service’s is told with the one that was likely meant', () => {
  for (const [written, namespace] of [
    ['reviews.shop', 'shop'],
    ['reviews.shop.cluster.local', 'shop'],
    ['reviews', 'other'],
    ['review', 'shop'],
    ['review.shop', 'other'],
    ['reviews.shop.meshh', 'other'],
  ] as const)
    assert.equal(
      unknownNameNote(mesh, written, namespace),
      `the mesh knows no service ${written}; there is reviews.shop.mesh`,
    );
  assert.match(unknownNameNote(mesh, 'ap.example.com', 'shop'), /; there is api\.example\.com$/);
  for (const written of ['api', 'reviews.pay.local', 'apis.acme.com', '10.0.0.9'])
    assert.equal(unknownNameNote(mesh, written, 'shop'), `the mesh knows no service ${written}`);
});

test('the address of an instance is told by its service', () => {
  assert.match(unknownNameNote(mesh, '10.0.0.1', 'shop'), /; an instance of reviews\.shop\.mesh has this address, /);
});
