// Whose VirtualServices say where calls go: of what was published, those of the client's, the service's and the root namespace.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceMeta } from '../../src/model/resource-meta.ts';
import type { TcpRoute, VirtualService } from '../../src/model/virtual-service.ts';
import { readResources } from '../../src/sources/resource-reader.ts';
import { MeshView } from '../../src/translate/view/mesh-view.ts';
import { mesh, service } from './mesh-literals.ts';

const HOST = 'reviews.default.mesh';

function rule(namespace: string, published: boolean, rest: Partial<VirtualService> = {}): VirtualService {
  const meta: ResourceMeta = {
    kind: 'VirtualService',
    namespace,
    name: 'x',
    labels: {},
    source: { file: 'x.yaml', line: 1 },
    age: 0,
    ...(published && { published: true }),
  };
  const destinations = [{ host: HOST, subset: undefined, port: undefined, weight: 1 }];
  const http = [{ name: undefined, match: [], destinations, timeoutMs: undefined, retries: undefined }];
  return { meta, hosts: [HOST], http, exportTo: [], ...rest };
}

function viewOf(namespace: string, virtualServices: readonly VirtualService[], reviews = service('reviews', 'HTTP')) {
  const view = new MeshView({ namespace, workload: '', labels: {} }, namespace);
  view.look(mesh([[reviews, []]], { virtualServices }), undefined);
  return { view, reviews };
}

/** The namespace of the rule that holds for HTTP requests of a client of `shop` to a service of `default`. */
function holding(...virtualServices: readonly VirtualService[]): string | undefined {
  const { view, reviews } = viewOf('shop', virtualServices);
  return view.virtualService(reviews, 9080)?.meta.namespace;
}

test('what was published counts from three namespaces, what a file says from any', () => {
  assert.equal(holding(rule('other', true)), undefined);
  assert.equal(holding(rule('other', false)), 'other');
  for (const namespace of ['shop', 'default', 'istio-system']) assert.equal(holding(rule(namespace, true)), namespace);
});

test('an older rule of somebody else does not stand before one that counts', () => {
  assert.equal(holding(rule('other', true), rule('default', true)), 'default');
});

test('a name that is no service is spoken for by the client’s and the root namespace', () => {
  const of = (namespace: string) => {
    const named = rule(namespace, true, { hosts: ['www.example.com'] });
    const { view } = viewOf('shop', [named]);
    return view.virtualService({ host: 'www.example.com', aliases: [] }, 80)?.meta.namespace;
  };
  assert.deepEqual(['other', 'default', 'shop', 'istio-system'].map(of), [
    undefined,
    undefined,
    'shop',
    'istio-system',
  ]);
});

test('the same holds for routes of connections', () => {
  const tcp: readonly TcpRoute[] = [
    { match: [], destinations: [{ host: HOST, subset: undefined, port: undefined, weight: 1 }] },
  ];
  const count = (namespace: string): number => {
    const reviews = service('reviews', 'TCP');
    const { view } = viewOf('shop', [rule(namespace, true, { http: [], tcp })], reviews);
    const [port] = reviews.ports;
    assert.ok(port);
    return view.connections(reviews, port).routes.length;
  };
  assert.deepEqual([count('other'), count('shop'), count('default')], [0, 1, 1]);
});

test('resources of the fleet are marked, those of files are not', () => {
  const text = JSON.stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'x', namespace: 'shop' },
    spec: { hosts: ['reviews'], http: [{ directResponse: { status: 418 } }] },
  });
  const single = { key: 'VirtualService/shop/x', createdMs: 1 };
  const published = (file: Parameters<typeof readResources>[1][number]): unknown =>
    readResources(undefined, [file]).set.virtualServices[0]?.meta.published;
  assert.equal(published({ file: 'consul:shop/VirtualService/x@1', text, single }), true);
  assert.equal(published({ file: 'x.yaml', text }), undefined);
});
