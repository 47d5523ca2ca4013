/** Gateways and the mesh: in to services by mutual TLS, out to hosts outside, through from sidecar to sidecar. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { call, callHttp2, httpApplication, type Seen } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startEnvoy } from '../translate/envoy.ts';
import { host, spiffe, upstream, workload } from '../translate/mesh-literals.ts';
import { ingressRole, meshOf, startGateway } from './gateway-host.ts';
import { allTo, gatewayYaml, httpServer, outsideYaml, ruleYaml } from './gateway-yaml.ts';
import { callTls, callTlsHttp2 } from './tls-client.ts';

const authority = await testAuthority();

/** A service of the mesh, on port 9080, at a port of this machine. */
function member(name: string, protocol: string, port: number, number = 9080): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: ${number}, name: main${protocol === '' ? '' : `, protocol: ${protocol}`}}]
  endpoints:
  - {address: 127.0.0.1, ports: {main: ${port}}, serviceAccount: ${name}, labels: {security.istio.io/tlsMode: istio}}
---`;
}

/** A gateway that sends all requests to `reviews`. */
function allToReviews(http: number): string {
  return gatewayYaml(httpServer(http, '["*"]')) + ruleYaml('r', '["*"]', allTo('reviews'));
}

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---`;

/** `reviews` with a sidecar that takes mutual TLS alone. */
async function startReviews(t: TestContext): Promise<{ readonly inboundPort: number; readonly seen: readonly Seen[] }> {
  const [inboundPort = 0, applicationPort = 0] = await freePorts(2);
  const seen = await httpApplication(t, applicationPort);
  const self = host({
    nodeId: 'reviews',
    callerIdentity: undefined,
    workloads: [workload('reviews', 'AUTO', inboundPort, applicationPort)],
  });
  await startEnvoy(t, meshOf(STRICT), self, await authority.secrets(spiffe('reviews')));
  return { inboundPort, seen };
}

test('in: requests reach a service of undeclared protocol by mutual TLS with the identity of the gateway', async (t) => {
  const { inboundPort, seen } = await startReviews(t);
  const [http = 0] = await freePorts(1);
  await startGateway(t, {
    authority,
    yaml: member('reviews', '', inboundPort) + allToReviews(http),
  });
  await eventually('an answer', async () => assert.equal((await call(http)).status, 200));
  assert.match(
    String(seen.at(-1)?.headers['x-forwarded-client-cert']),
    /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/ingress/,
  );
  assert.equal((await callHttp2(http)).status, 200);
  assert.equal(seen.at(-1)?.httpVersion, '1.1', 'what callers speak outside is no matter of the application');
});

test('useClientProtocol: by mutual TLS the service is called in the version that it prefers, whatever a caller outside speaks', async (t) => {
  const [inboundPort = 0, applicationPort = 0, https = 0] = await freePorts(3);
  const seen = await httpApplication(t, applicationPort);
  const self = host({
    nodeId: 'reviews',
    callerIdentity: undefined,
    workloads: [workload('reviews', 'HTTP', inboundPort, applicationPort)],
  });
  await startEnvoy(t, meshOf(STRICT), self, await authority.secrets(spiffe('reviews')));
  const { envoy } = await startGateway(t, {
    authority,
    before: async (put) => put('www', await authority.issue('www.test')),
    yaml: `${member('reviews', 'HTTP', inboundPort)}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}}
---${gatewayYaml(`
  - {port: {number: ${https}, name: https, protocol: HTTPS}, hosts: [www.test], tls: {mode: SIMPLE, credentialName: www}}`)}${ruleYaml('r', '[www.test]', allTo('reviews'))}`,
  });
  const ask = { serverName: 'www.test', ca: authority.rootPem };
  /** Connections to the service, by version of HTTP. */
  const versions = async (): Promise<readonly number[]> => {
    const text = await envoy.stats('upstream_cx_http._total');
    return [1, 2].map((version) =>
      Number(new RegExp(`reviews\\.default\\.mesh;\\.upstream_cx_http${version}_total: (\\d+)`).exec(text)?.[1]),
    );
  };
  await eventually('an answer', async () => assert.equal((await callTls(https, ask)).status, 200));
  assert.match(String(seen.at(-1)?.headers['x-forwarded-client-cert']), /sa\/ingress$/);
  assert.equal((await callTlsHttp2(https, ask)).status, 200);
  assert.equal((await callTls(https, ask)).status, 200);
  assert.deepEqual(await versions(), [0, 1]);
});

test('a gateway and a service on one host each call with an identity of their own', async (t) => {
  const { inboundPort, seen } = await startReviews(t);
  const [http = 0, local = 0] = await freePorts(2);
  const { envoy } = await startGateway(t, {
    authority,
    host: { upstreams: [upstream('reviews', local)] },
    yaml: member('reviews', '', inboundPort) + allToReviews(http),
  });
  for (const [port, account] of [
    [http, 'ingress'],
    [local, 'caller'],
    [http, 'ingress'],
  ] as const) {
    await eventually('an answer', async () => assert.equal((await call(port)).status, 200));
    assert.match(String(seen.at(-1)?.headers['x-forwarded-client-cert']), new RegExp(`sa/${account}$`));
  }
  assert.deepEqual(envoy.rejected, []);
});

test('out: the mesh sends calls of a host outside to the egress gateway, which sends them on', async (t) => {
  const [outside = 0, egress = 0, local = 0] = await freePorts(3);
  const seen = await httpApplication(t, outside, 'outside');
  const yaml = `${member('egress', 'HTTP', egress, 443)}${outsideYaml('outside', 'HTTP', outside)}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out}
spec:
  selector: {istio: egressgateway}
  servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [outside.test], tls: {mode: ISTIO_MUTUAL}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: out}
spec:
  hosts: [outside.test]
  gateways: [mesh, out]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: egress, port: {number: 443}}}]
  - match: [{gateways: [out], port: 443}]
    headers: {request: {set: {x-through: egress}}}
    route: [{destination: {host: outside.test, port: {number: 80}}}]
`;
  const role = ingressRole({
    name: 'egress',
    serviceHost: 'egress.default.mesh',
    labels: { istio: 'egressgateway' },
    identity: spiffe('egress'),
    ports: { 443: egress },
  });
  const gateway = await startGateway(t, { authority, yaml, roles: [role], host: { callerIdentity: undefined } });
  const self = host({ upstreams: [upstream('', local, { serviceHost: 'outside.test', servicePort: 80 })] });
  await startEnvoy(t, meshOf(yaml), self, await authority.secrets(spiffe('caller')));
  await eventually('an answer', async () =>
    assert.equal((await call(local, { headers: { host: 'outside.test' } })).status, 200),
  );
  assert.equal(seen.at(-1)?.headers['x-through'], 'egress');
  assert.deepEqual(gateway.envoy.rejected, []);
  await assert.rejects(call(egress, { headers: { host: 'outside.test' } }), 'nobody comes in without a certificate');
});

test('through: a call between sidecars passes a gateway as it is', async (t) => {
  const { inboundPort, seen } = await startReviews(t);
  const [through = 0, local = 0] = await freePorts(2);
  await startGateway(t, {
    authority,
    yaml: `${member('reviews', 'HTTP', inboundPort)}${gatewayYaml(`
  - {port: {number: ${through}, name: tls, protocol: TLS}, hosts: ["*.mesh"], tls: {mode: AUTO_PASSTHROUGH}}`)}`,
  });
  const self = host({ upstreams: [upstream('reviews', local)] });
  await startEnvoy(t, meshOf(member('reviews', 'HTTP', through)), self, await authority.secrets(spiffe('caller')));
  await eventually('an answer', async () => assert.equal((await call(local)).status, 200));
  assert.match(String(seen.at(-1)?.headers['x-forwarded-client-cert']), /sa\/caller/, 'the caller, not the gateway');
});
