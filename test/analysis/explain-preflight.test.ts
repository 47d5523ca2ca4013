/** What `explain` says of preflights, held against what Envoy does with them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { parseRequest } from '../../src/analysis/called-request.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import { explain } from '../../src/analysis/explain.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host } from '../translate/mesh-literals.ts';

// Nobody listens there: a request that Envoy does not answer itself gets 503.
const RESOURCES = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop }
spec:
  hosts: [shop.default.mesh]
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: 9 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.default.mesh]
  http:
  - match: [{ uri: { prefix: /strict } }]
    corsPolicy: { allowOrigins: [{ exact: "https://a.example" }], unmatchedPreflights: IGNORE }
    route: [{ destination: { host: shop.default.mesh } }]
  - match: [{ uri: { prefix: /all } }]
    corsPolicy: { allowOrigins: [{ exact: "*" }] }
    route: [{ destination: { host: shop.default.mesh } }]
  - match: [{ uri: { prefix: /elsewhere } }]
    corsPolicy: { allowOrigins: [{ exact: "*" }] }
    redirect: { uri: /all }
  - match: [{ uri: { prefix: /plain } }]
    route: [{ destination: { host: shop.default.mesh } }]
  - corsPolicy: { allowOrigins: [{ exact: "https://a.example" }, { regex: "https://.*\\\\.b\\\\.example" }] }
    route: [{ destination: { host: shop.default.mesh } }]
`;

const OUTCOMES: Readonly<Record<number, string>> = { 200: 'answered', 301: 'redirected', 503: 'forwarded' };
const WANTS = 'access-control-request-method: PUT';

const cases: readonly (readonly [string, string, string, readonly string[], number])[] = [
  ['of an allowed origin', 'OPTIONS', '/', ['origin: https://a.example', WANTS], 200],
  ['of an origin that a pattern allows', 'OPTIONS', '/', ['origin: https://x.b.example', WANTS], 200],
  ['of another origin', 'OPTIONS', '/', ['origin: https://c.example', WANTS], 503],
  ['of another origin that is ignored', 'OPTIONS', '/strict', ['origin: https://c.example', WANTS], 200],
  ['of any origin', 'OPTIONS', '/all', ['origin: https://c.example', WANTS], 200],
  ['at a redirect', 'OPTIONS', '/elsewhere', ['origin: https://c.example', WANTS], 301],
  ['at a route without a policy', 'OPTIONS', '/plain', ['origin: https://a.example', WANTS], 503],
  ['without the method that is asked for', 'OPTIONS', '/', ['origin: https://a.example'], 503],
  ['without an origin', 'OPTIONS', '/', [WANTS], 503],
  ['by another method', 'GET', '/', ['origin: https://a.example', WANTS], 503],
];

test('explain and Envoy agree on preflights', async (t) => {
  const { mesh, diagnostics } = configurationOf([{ file: 'in.yaml', text: RESOURCES }]);
  assert.deepEqual(diagnostics, []);
  const [port = 0] = await freePorts(1);
  const upstreams = [{ serviceHost: 'shop.default.mesh', servicePort: 9080, listen: { address: '127.0.0.1', port } }];
  const envoy = await startEnvoy(t, mesh, host({ upstreams, callerIdentity: undefined }), []);
  await eventually('its listener is open', async () => {
    assert.equal(await envoy.stat('listener_manager.workers_started'), 1);
  });
  const caller = {
    namespace: 'default',
    name: 'web',
    labels: {},
    identity: undefined,
    locality: { region: '', zone: '', subzone: '' },
  };
  for (const [what, method, path, headers, status] of cases) {
    const sent = httpRequest({
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: Object.fromEntries(headers.map((header) => header.split(': '))),
      agent: false,
    });
    sent.end();
    const [response] = (await once(sent, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    const told = explain(mesh, caller, parseRequest({ to: `http://shop:9080${path}`, method, headers: [...headers] }));
    assert.equal(response.statusCode, status, what);
    assert.deepEqual(
      [told.outcome, told.action?.directResponse?.status],
      [OUTCOMES[status], status === 200 ? 200 : undefined],
      what,
    );
  }
});
