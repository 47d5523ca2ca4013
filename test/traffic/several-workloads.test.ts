/** Several workloads, a gateway and an observed upstream on one host and one Envoy: each goes by the rules of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host, Workload } from '../../src/model/host.ts';
import { cannotCapture } from '../capture/netns.ts';
import { eventually } from '../support/eventually.ts';
import { host, spiffe, upstream } from '../translate/mesh-literals.ts';
import { egressScene } from './egress-scene.ts';
import { ingressRole } from './gateway-host.ts';

const skip = cannotCapture();

const RULES = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example.com]
  addresses: [10.9.0.9]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.9.0.3, labels: {version: v1}}
  - {address: 10.9.0.4, labels: {version: v2}}
  - {address: 10.9.0.5, labels: {version: v3}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: other}
spec:
  hosts: [other.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 10.9.0.5}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.example.com
  subsets: [{name: one, labels: {version: v1}}, {name: two, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api-of-batch}
spec:
  host: api.example.com
  workloadSelector: {matchLabels: {app: batch}}
  exportTo: ["."]
  subsets: [{name: one, labels: {version: v3}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api}
spec:
  hosts: [api.example.com]
  http:
  - match: [{sourceLabels: {app: web}}]
    route: [{destination: {host: api.example.com, subset: two}}]
  - route: [{destination: {host: api.example.com, subset: one}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress: [{hosts: [./api.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 8088, name: http, protocol: HTTP}, hosts: [edge.test]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [edge.test]
  gateways: [edge]
  http: [{rewrite: {uri: /through/}, route: [{destination: {host: api.example.com, subset: two}}]}]
---
`;

const FILTER = `
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: stamp, namespace: istio-system}
spec:
  workloadSelector: {labels: {app: till}}
  configPatches:
  - applyTo: HTTP_ROUTE
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: MERGE, value: {route: {prefix_rewrite: /patched/}}}
---
`;

const AT_GATEWAYS = FILTER.replace('  workloadSelector: {labels: {app: till}}\n', '')
  .replace('SIDECAR_OUTBOUND', 'GATEWAY')
  .replace('/patched/', '/at-gateways/');

function calling(service: string, namespace = 'default'): Workload {
  const identity = spiffe(service, namespace);
  return {
    namespace,
    service,
    serviceHost: `${service}.${namespace}.mesh`,
    identity,
    labels: { app: service },
    inbound: undefined,
  };
}

const [BATCH, TILL, BATCH_OTHER, OBSERVED] = [9001, 9002, 9003, 9004];

function at(port: number, serviceHost: string, caller: Workload): Host['upstreams'][number] {
  return upstream('', port, { serviceHost, servicePort: 80, caller: caller.identity });
}

test('each workload of a host goes by the rules of its own', { skip }, async (t) => {
  const [web, batch, till] = [calling('web'), calling('batch'), calling('till', 'shop')];
  const rest = {
    workloads: [web, batch, till],
    callers: [{ identity: web.identity, namespace: 'default', capturePort: 15_001 }],
    upstreams: [
      at(BATCH, 'api.example.com', batch),
      at(TILL, 'api.example.com', till),
      at(BATCH_OTHER, 'other.example.com', batch),
      { ...at(OBSERVED, 'api.example.com', till), mode: 'observe' as const },
    ],
    gateways: [ingressRole({ name: 'edge', identity: spiffe('edge') })],
  };
  const { client, tell, call, calls } = await egressScene(t, [], rest);
  tell(RULES);
  await eventually('the first listener', async () =>
    (await client.stats('listener_manager.workers_started')).endsWith(': 1\n'),
  );
  const api = async (port: number): Promise<string> => await call('http', '127.0.0.1', port, 'api.example.com');

  await t.test('routes by its labels, subsets by the rule that selects it', async () => {
    assert.equal(await call('http', '10.9.0.9', 80, 'api.example.com'), '200 10.9.0.4|80 got api.example.com/x');
    assert.equal(await api(BATCH), '200 10.9.0.5|80 got api.example.com/x');
    assert.equal(await api(TILL), '200 10.9.0.3|80 got api.example.com/x');
  });

  await t.test('a Sidecar narrows one of them alone', async () => {
    assert.match(await call('http', '10.9.0.5', 80, 'other.example.com'), /^502/);
    assert.equal(
      await call('http', '127.0.0.1', BATCH_OTHER, 'other.example.com'),
      '200 10.9.0.5|8080 got other.example.com/x',
    );
  });

  await t.test('a gateway beside them sees no Sidecar, and rules for gateways alone', async () => {
    assert.equal(await call('http', '127.0.0.1', 8088, 'edge.test'), '200 10.9.0.4|80 got edge.test/through/x');
    assert.match(await call('http', '127.0.0.1', 8088, 'api.example.com'), /^404/);
  });

  await t.test('what is observed goes by no rules', async () => {
    // At random: one of three is met by none of so many once in 10^10 runs.
    const met = new Set(await calls('http', '127.0.0.1', OBSERVED, 'api.example.com', 60));
    assert.equal(met.size, 3, [...met].join('\n'));
  });

  await t.test('an EnvoyFilter for one changes the routes of that one alone', async () => {
    tell(RULES + FILTER, { envoyFilterNamespaces: ['istio-system'] });
    await eventually('it is patched', async () =>
      assert.equal(await api(TILL), '200 10.9.0.3|80 got api.example.com/patched/x'),
    );
    assert.equal(await api(BATCH), '200 10.9.0.5|80 got api.example.com/x');
    assert.equal(await call('http', '10.9.0.9', 80, 'api.example.com'), '200 10.9.0.4|80 got api.example.com/x');
    assert.equal(await call('http', '127.0.0.1', 8088, 'edge.test'), '200 10.9.0.4|80 got edge.test/through/x');
  });

  await t.test('one for gateways, those of gateways alone', async () => {
    tell(RULES + AT_GATEWAYS, { envoyFilterNamespaces: ['istio-system'] });
    await eventually('it is patched', async () =>
      assert.equal(await call('http', '127.0.0.1', 8088, 'edge.test'), '200 10.9.0.4|80 got edge.test/at-gateways/x'),
    );
    assert.equal(await api(TILL), '200 10.9.0.3|80 got api.example.com/x');
  });

  await t.test('labels that change, change the routes of that workload', async () => {
    const moved = host({
      ...rest,
      nodeId: 'client',
      callerIdentity: undefined,
      workloads: [{ ...web, labels: { app: 'till' } }, batch, till],
    });
    tell(RULES, {}, moved);
    await eventually('by the rule for all', async () =>
      assert.equal(await call('http', '10.9.0.9', 80, 'api.example.com'), '200 10.9.0.3|80 got api.example.com/x'),
    );
    assert.equal(await api(BATCH), '200 10.9.0.5|80 got api.example.com/x');
  });
  assert.deepEqual(client.rejected, []);
});
