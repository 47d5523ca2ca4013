/** Which limits `explain` says count a request at a gateway, held against what its Envoy says in its answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainOnHost } from '../../src/analysis/explain-question.ts';
import { explanationText } from '../../src/cli/explain-text.ts';
import { PLAIN_STYLE } from '../../src/cli/status-text.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import { ingressRole, meshOf } from '../traffic/gateway-host.ts';
import { askEdge, certificateOf, type EdgeCall, limitYaml, startLimitedGateway } from '../traffic/limited-gateway.ts';
import { host } from '../translate/mesh-literals.ts';

const OTHER_GATEWAY = (port: number): string => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: [three.test]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: three}
spec:
  hosts: [three.test]
  gateways: [other]
  http: [{route: [{destination: {host: web.test}}]}]
---`;

// Each has a figure of its own, which the answers of Envoy show.
const LIMITS = `${limitYaml(`
  - {name: all, requests: 1001, per: 1h}
  - {name: api, match: [{path: {prefix: /api}}, {headers: {x-plan: {exact: free}}}], by: [remoteAddress, {header: x-key}], requests: 1002, per: 1m}
  - {name: exact, match: [{path: {exact: /login}, method: {exact: POST}}], requests: 1003, per: 1h}
  - {name: callers, match: [{callers: [ns/default/sa/batch]}], requests: 1004, per: 1h}`)}
${limitYaml('[{name: hosts, requests: 1005, per: 1h}]', 'hosts: ["*.two.test", One.test]').replace('name: edge', 'name: some')}
${limitYaml('[{name: other, requests: 1006, per: 1h}]').replace('name: edge', 'name: other').replace('gateway: gw', 'gateway: other')}`;

test('explain names the limits that count a request at a gateway', async (t) => {
  const { http, https, yaml } = await startLimitedGateway(t, { limits: LIMITS, more: OTHER_GATEWAY });
  const mesh = meshOf(yaml);
  const self = host({ gateways: [ingressRole()], credentialsFolder: '/nowhere' });
  const explained = ({
    host: name = 'one.test',
    path = '/',
    method = 'GET',
    headers = {},
    tls = false,
  }: EdgeCall): Explanation =>
    explainOnHost(mesh, self, {
      to: tls ? `https://${name}:${https}${path}` : `http://${name}:${http}${path}`,
      method,
      headers: Object.entries(headers).map(([key, value]) => `${key}: ${value}`),
      gateway: 'default/ingress',
    });
  const calls: readonly EdgeCall[] = [
    {},
    { host: 'two.test' },
    { host: 'a.two.test', path: '/api?x' },
    { host: 'three.test', path: '/api' },
    { path: '/x', headers: { 'x-plan': 'free' } },
    { path: '/x', headers: { 'x-plan': 'paid' } },
    { path: '/login?next', method: 'POST' },
    { path: '/login' },
    { path: '/a/../api' },
    { path: '/moved/api' },
    { host: 'nobody.test' },
    { host: 'two.test', tls: true, path: '/api' },
  ];
  for (const call of calls) {
    const { headers } = await askEdge(call.tls === true ? https : http, call);
    // Envoy writes the last filter's first.
    const met = String(headers['x-ratelimit-limit'] ?? '');
    const told = (explained(call).rateLimits ?? []).toReversed().map(({ requests }) => requests);
    assert.equal(told.join(', '), met, JSON.stringify(call));
  }

  const maybe = explained({ tls: true });
  assert.deepEqual(
    maybe.rateLimits?.map(({ limit, byCertificate }) => [limit, byCertificate]),
    [
      ['all', false],
      ['callers', true],
      ['hosts', false],
    ],
  );
  const shown = await askEdge(https, { tls: true, client: await certificateOf('batch') });
  assert.equal(shown.headers['x-ratelimit-limit'], '1005, 1004, 1001');
  assert.equal((await askEdge(https, { tls: true })).headers['x-ratelimit-limit'], '1005, 1001');

  const text = explanationText(explained({ path: '/api' }), PLAIN_STYLE);
  assert.match(text, /Counted by +RateLimit default\/edge all: 1001 per 1h +in\.yaml:\d+/);
  assert.match(text, /RateLimit default\/edge api: 1002 per 1m, remoteAddress, header_x-key +in\.yaml/);
});
