import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpMatch, HttpRoute, VirtualService } from '../../model/virtual-service.ts';
import { unknownDestination } from '../view/destination.ts';
import { type HttpRoutesSpec, hasHttpRoutes, httpDestinations, httpRoutes, isCatchAll } from './http-routes.ts';

function match(rest: Partial<HttpMatch> = {}): HttpMatch {
  return {
    name: undefined,
    uri: undefined,
    ignoreUriCase: false,
    method: undefined,
    scheme: undefined,
    authority: undefined,
    headers: {},
    withoutHeaders: {},
    queryParams: {},
    port: undefined,
    ...rest,
  };
}

function route(name: string, rest: Partial<HttpRoute> = {}): HttpRoute {
  return {
    name,
    match: [],
    destinations: [{ host: name, subset: undefined, port: 80, weight: 1 }],
    timeoutMs: undefined,
    retries: undefined,
    ...rest,
  };
}

function spec(http: readonly HttpRoute[], rest: Partial<HttpRoutesSpec & VirtualService> = {}): HttpRoutesSpec {
  const source = { file: 'a.yaml', line: 1 };
  const { gateways, ...others } = rest;
  return {
    virtualService: {
      meta: { kind: 'VirtualService', namespace: 'default', name: 'a', labels: {}, source, age: 0 },
      hosts: ['a'],
      exportTo: [],
      http,
      ...(gateways !== undefined && { gateways }),
    },
    gateway: 'mesh',
    port: 80,
    client: { namespace: 'default', workload: 'web', labels: { app: 'web' } },
    resolve: ({ host, subset, port = 0 }) => unknownDestination(host, port, subset),
    ...others,
  };
}

const names = (of: HttpRoutesSpec): readonly unknown[] => httpRoutes(of).map(({ name }) => name);
const prefix = (value: string): HttpMatch['uri'] => ({ kind: 'prefix', value });

test('ends after the first route that takes everything', () => {
  const first = route('a', { match: [match({ uri: prefix('/x') })] });
  for (const all of [
    route('b'),
    route('b', { match: [match({ uri: prefix('/') }), match({ uri: prefix('/y') })] }),
    route('b', { match: [match({ uri: { kind: 'regex', value: '.*' } })] }),
  ]) {
    const made = httpRoutes(spec([first, all, route('c')]));
    assert.deepEqual(
      made.map(({ name }) => name),
      ['a', 'b'],
    );
    assert.deepEqual(made.map(isCatchAll), [false, true]);
  }
  const conditional = route('b', { match: [match({ uri: prefix('/'), method: { kind: 'exact', value: 'GET' } })] });
  assert.deepEqual(names(spec([first, conditional, route('c')])), ['a', 'b', 'c']);
});

test('matches of another port, gateway or source are left out, and with the last of them their route', () => {
  const http = [
    route('port', { match: [match({ port: 81 }), match({ port: 82 })] }),
    route('some', { match: [match({ port: 81, uri: prefix('/a') }), match({ uri: prefix('/b') })] }),
    route('namespace', { match: [match({ sourceNamespace: 'other', uri: prefix('/') })] }),
    route('labels', { match: [match({ sourceLabels: { app: 'web', v: '2' } })] }),
    route('gateway', { match: [match({ gateways: ['default/x'] })] }),
    route('void', { match: [match({ gateways: ['mesh'], sourceLabels: { app: 'y' }, uri: prefix('/v') })] }),
    route('own', { match: [match({ sourceLabels: { app: 'web' }, sourceNamespace: 'default' })] }),
  ];
  assert.deepEqual(names(spec(http)), ['some', 'void', 'own']);
  assert.deepEqual(names(spec(http, { gateway: 'default/x' })), []);
  assert.deepEqual(names(spec(http, { gateway: 'default/x', gateways: ['default/x', 'mesh'] })), ['some', 'gateway']);
  assert.equal(hasHttpRoutes(spec([http[0] ?? route('x')])), false);
});

test('unused weights and mirrors need clusters too, those of routes that do not count do not', () => {
  const to = (host: string, weight: number) => ({ host, subset: undefined, port: 80, weight });
  const mirrors = [{ destination: { host: 'mirror', subset: undefined, port: 80 }, percent: 0 }];
  const all = spec([
    route('a', { match: [match({ port: 81 })] }),
    route('b', { destinations: [to('used', 1), to('unused', 0)], mirrors }),
  ]);
  assert.deepEqual(
    httpDestinations(all).map(({ cluster }) => cluster),
    ['outbound|80||used', 'outbound|80||unused', 'outbound|80||mirror'],
  );
  const [made] = httpRoutes(all);
  assert.equal(made?.action?.case, 'route');
  assert.ok(made.action.case === 'route');
  assert.deepEqual(made.action.value.clusterSpecifier, { case: 'cluster', value: 'outbound|80||used' });
  assert.equal(made.action.value.requestMirrorPolicies, undefined);
});

test('a redirect to the port that was called names no port that is the scheme’s own', () => {
  const led = (port: number, isTls: boolean, scheme?: string): unknown => {
    const redirect = { port: 'FROM_REQUEST_PORT', code: 301, ...(scheme !== undefined && { scheme }) } as const;
    const [made] = httpRoutes(spec([route('a', { destinations: [], redirect })], { port, isTls }));
    return made?.action?.case === 'redirect' ? made.action.value.portRedirect : undefined;
  };
  assert.deepEqual([led(80, false), led(443, true), led(443, false, 'https')], [0, 0, 0]);
  assert.deepEqual([led(8080, false), led(80, true), led(80, false, 'https')], [8080, 80, 80]);
});

test('what a destination removes, its route has not set', () => {
  const changes = (set: Readonly<Record<string, string>>, remove: readonly string[] = []) => ({
    request: { set, add: {}, remove },
  });
  const to = (host: string, rest: object) => ({ host, subset: undefined, port: 80, weight: 1, ...rest });
  const headers = changes({ 'X-Gone': 'a', kept: 'b' });
  const own = { headers: changes({ kept: 'c' }, ['x-gone']) };
  const [single] = httpRoutes(spec([route('a', { headers, destinations: [to('a', own)] })]));
  const added = single?.requestHeadersToAdd?.map(({ header }) => [header?.key, header?.value]);
  assert.deepEqual(added, [
    ['kept', 'b'],
    ['kept', 'c'],
  ]);
  const [several] = httpRoutes(spec([route('a', { headers, destinations: [to('a', own), to('b', {})] })]));
  assert.equal(several?.requestHeadersToAdd, undefined);
  assert.ok(several?.action?.case === 'route' && several.action.value.clusterSpecifier?.case === 'weightedClusters');
  const { clusters = [] } = several.action.value.clusterSpecifier.value;
  assert.deepEqual(
    clusters.map(({ requestHeadersToAdd = [] }) => requestHeadersToAdd.map(({ header }) => header?.value)),
    [
      ['b', 'c'],
      ['a', 'b'],
    ],
  );
});
