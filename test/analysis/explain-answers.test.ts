/** Answers of `explain` to what is asked by address, under no known name, or of a subset that others have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequest } from '../../src/analysis/called-request.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import { explain } from '../../src/analysis/explain.ts';
import type { Explanation } from '../../src/model/explanation.ts';

const RESOURCES = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: data }
spec:
  hosts: [db.data.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 3306, name: mysql, protocol: MYSQL }]
  endpoints: [{ address: 10.0.0.9 }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ledger, namespace: data }
spec:
  hosts: [ledger.example.com]
  addresses: [192.0.2.0/24, 192.0.2.16/28]
  resolution: STATIC
  ports: [{ number: 1521, name: tcp, protocol: TCP }]
  endpoints: [{ address: 10.0.0.10 }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web, namespace: data }
spec:
  hosts: [web.data.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.0.0.11 }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec:
  hosts: [web.data.mesh]
  http: [{ route: [{ destination: { host: web.data.mesh, subset: blue } }] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: shop }
spec: { host: web.data.mesh, subsets: [{ name: blue, labels: {} }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: front, namespace: shop }
spec:
  hosts: ["*"]
  gateways: [public]
  http: [{ route: [{ destination: { host: web.data.mesh } }] }]
`;

function asked(to: string, namespace = 'front'): Explanation {
  const { mesh } = configurationOf([{ file: 'in.yaml', text: RESOURCES }]);
  const locality = { region: '', zone: '', subzone: '' };
  return explain(mesh, { namespace, name: 'web', labels: {}, identity: undefined, locality }, parseRequest({ to }));
}

test('a port of a service of the mesh takes no connections to other names', () => {
  const { outcome, note } = asked('tcp://elsewhere.example.com:3306');
  assert.deepEqual([outcome, note], ['passthrough', 'the mesh knows no service elsewhere.example.com']);
  assert.equal(asked('tcp://db.data.mesh:3306').destination, 'db.data.mesh');
});

test('a service is known by the ranges of its addresses', () => {
  const { service, destination, note } = asked('tcp://192.0.2.17:1521');
  assert.deepEqual([service, destination, note], ['ledger.example.com', 'ledger.example.com', undefined]);
  assert.equal(asked('tcp://192.0.2.17:99').note, 'ledger.example.com has no port 99: it has 1521');
  assert.equal(asked('tcp://192.0.3.17:1521').service, undefined);
});

test('a subset of a rule that does not hold for the caller is told from one that nobody has', () => {
  assert.equal(
    asked('http://web.data.mesh').destinations[0]?.failure,
    '503 NC: DestinationRule shop/web has subset "blue" of web.data.mesh, and does not hold for this caller',
  );
  assert.equal(asked('http://web.data.mesh', 'shop').destinations[0]?.failure, undefined);
});

test('what a gateway does with whatever comes is not said of a service', () => {
  assert.deepEqual(asked('http://web.data.mesh').ignored, []);
});
