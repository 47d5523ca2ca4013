/** What `explain` says of requests that arrive at a gateway, held against what its Envoy does. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { WrittenRequest } from '../../src/analysis/called-request.ts';
import { configurationOf } from '../../src/analysis/configuration.ts';
import { explainOffline, explainOnHost } from '../../src/analysis/explain-question.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { ingressRole, meshOf, startGateway } from '../traffic/gateway-host.ts';
import { callTls } from '../traffic/tls-client.ts';
import { tlsServer } from '../traffic/tls-servers.ts';
import { call, httpApplication } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { host } from '../translate/mesh-literals.ts';

interface Met {
  readonly status: number | 'closed';
  readonly location?: string | undefined;
  /** Who served it: a version of the shop, or `database`. */
  readonly by?: string | undefined;
}

const yaml = (http: number, https: number, shop: readonly number[], database: number): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
${shop.map((port, i) => `  - {address: 127.0.0.1, ports: {http: ${port}}, labels: {version: v${i + 1}}}`).join('\n')}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: database}
spec:
  hosts: [database.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 127.0.0.1, ports: {tls: ${database}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec: {host: shop.test, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${http}, name: http, protocol: HTTP}, hosts: [plain.test, "*.wild.test"]}
  - {port: {number: ${http}, name: moved, protocol: HTTP}, hosts: [www.test], tls: {httpsRedirect: true}}
  - {port: {number: ${https}, name: https, protocol: HTTPS}, hosts: [www.test, bare.test], tls: {mode: SIMPLE, credentialName: www}}
  - {port: {number: ${https}, name: pass, protocol: TLS}, hosts: ["*.db.test"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: first, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  hosts: [plain.test, www.test, "*.wild.test"]
  gateways: [public]
  http:
  - name: beta
    match: [{headers: {x-user: {exact: beta}}}]
    route: [{destination: {host: shop.test, subset: v2}}]
  - name: encrypted
    match: [{scheme: {exact: https}, uri: {prefix: /secure}}]
    route: [{destination: {host: shop.test, subset: v2}}]
  - name: rest
    route: [{destination: {host: shop.test, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: second, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  hosts: [plain.test]
  gateways: [public]
  http:
  - name: later
    match: [{uri: {prefix: /later}}]
    route: [{destination: {host: shop.test, subset: v2}}]
  - name: elsewhere
    match: [{uri: {exact: /old}}]
    redirect: {uri: /new, redirectCode: 308}
  - name: other-port
    match: [{port: 9999}]
    directResponse: {status: 418}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: database}
spec:
  hosts: ["*.db.test"]
  gateways: [public]
  tls:
  - match: [{sniHosts: [a.db.test]}]
    route: [{destination: {host: database.test}}]
`;

function serverOf(body: string): string | undefined {
  const { name, sni } = JSON.parse(body) as { readonly name?: string; readonly sni?: string };
  return name ?? (sni === undefined ? undefined : 'database');
}

/** What the explanation says that the caller meets. */
function foretold({ outcome, action, subset, destination }: Explanation): Met {
  switch (outcome) {
    case 'forwarded':
      return { status: 200, by: destination === 'database.test' ? 'database' : subset };
    case 'redirected':
      return { status: action?.redirect?.code ?? 0, location: action?.redirect?.location };
    case 'not-found':
      return { status: 404 };
    default:
      return { status: 'closed' };
  }
}

async function start(t: TestContext): Promise<{
  readonly text: string;
  readonly http: number;
  readonly https: number;
  readonly meet: (written: WrittenRequest) => Promise<Met>;
}> {
  const authority = await testAuthority();
  const [http = 0, https = 0, v1 = 0, v2 = 0] = await freePorts(4);
  await Promise.all([httpApplication(t, v1, 'v1'), httpApplication(t, v2, 'v2')]);
  const served = await authority.issue('a.db.test');
  const database = await tlsServer(t, { cert: served.certificateChainPem, key: served.privateKeyPem });
  const text = yaml(http, https, [v1, v2], database);
  await startGateway(t, {
    authority,
    yaml: text,
    before: async (put) => put('www', await authority.issue('www.test')),
  });
  const meet = async ({ to, headers = [] }: WrittenRequest): Promise<Met> => {
    const { protocol, host: name, pathname, port } = new URL(to);
    const sent = { host: name, ...Object.fromEntries(headers.map((line) => line.split(': '))) };
    try {
      const answer =
        protocol === 'http:'
          ? await call(Number(port), { path: pathname, headers: sent })
          : await callTls(Number(port), {
              serverName: name.replace(/:\d+$/, ''),
              ca: authority.rootPem,
              path: pathname,
              headers: sent,
            });
      const { status } = answer;
      const { location } = answer.headers;
      return location === undefined
        ? { status, ...(status === 200 && { by: serverOf(answer.body) }) }
        : { status, location };
    } catch {
      return { status: 'closed' };
    }
  };
  await eventually('the gateway answers', async () =>
    assert.equal((await meet({ to: `http://plain.test:${http}/` })).status, 200),
  );
  await eventually('TLS too', async () => assert.equal((await meet({ to: `https://www.test:${https}/` })).status, 200));
  return { text, http, https, meet };
}

test('explain and Envoy agree on what arrives at a gateway', async (t) => {
  const { text, http, https, meet } = await start(t);
  const configuration = configurationOf([{ file: 'in.yaml', text }]);
  const ask = (written: WrittenRequest): Explanation =>
    explainOffline(configuration, { ...written, gateway: 'default/public' }, undefined);
  const cases: readonly (readonly [WrittenRequest, string | undefined])[] = [
    [{ to: `http://plain.test:${http}/` }, 'rest'],
    [{ to: `http://plain.test:${http}/later` }, 'later'],
    [{ to: `http://plain.test:${http}/later`, headers: ['x-user: beta'] }, 'beta'],
    [{ to: `http://plain.test:${http}/old` }, 'elsewhere'],
    [{ to: `http://plain.test:${http}/secure` }, 'rest'],
    [{ to: `http://a.wild.test:${http}/later` }, 'rest'],
    [{ to: `http://nobody.test:${http}/` }, undefined],
    [{ to: `http://www.test:${http}/secure` }, undefined],
    [{ to: `https://www.test:${https}/secure` }, 'encrypted'],
    [{ to: `https://www.test:${https}/` }, 'rest'],
    [{ to: `https://bare.test:${https}/` }, undefined],
    [{ to: `https://nobody.test:${https}/` }, undefined],
    [{ to: `https://a.db.test:${https}/` }, 'tls[0]'],
    [{ to: `https://b.db.test:${https}/` }, undefined],
    [{ to: `http://plain.test:${https}/` }, undefined],
  ];
  for (const [written, route] of cases) {
    const explanation = ask(written);
    assert.equal(explanation.route, route, written.to);
    // A client that does not know the certificate closes as well: bare.test has the one of www.test.
    const met = await meet(written);
    if (!written.to.includes('bare.test')) assert.deepEqual(foretold(explanation), met, written.to);
  }

  await t.test('each with its place, and why others did not count', () => {
    const line = (needle: string): string => `in.yaml:${text.split('\n').findIndex((one) => one.includes(needle)) + 1}`;
    const later = ask({ to: `http://plain.test:${http}/later` });
    assert.equal(later.virtualService, 'VirtualService default/second');
    assert.equal(later.source, line('name: later'));
    assert.deepEqual(
      later.considered.map(({ route, result }) => `${route} ${result}`),
      ['beta passed', 'encrypted passed', 'rest unreached', 'later taken', 'elsewhere passed', 'other-port skipped'],
    );
    const tls = ask({ to: `tls://a.db.test:${https}` });
    assert.deepEqual(
      [tls.virtualService, tls.source, tls.protocol],
      ['VirtualService default/database', line('sniHosts: [a.db.test]'), 'tcp'],
    );
    assert.match(ask({ to: 'http://plain.test:81/' }).note ?? '', new RegExp(`no port 81: it has .*${https}`));
    assert.match(ask({ to: `http://www.test:${http}/` }).note ?? '', /Gateway default\/public has httpsRedirect/);
    assert.match(ask({ to: `https://nobody.test:${https}/` }).note ?? '', /no server .* nobody\.test/);
  });

  await t.test('a host answers for its gateways, by their own names and those of what they serve', () => {
    const own = host({ gateways: [ingressRole()], credentialsFolder: '/etc/credentials' });
    const mesh = meshOf(text);
    const to = `https://www.test:${https}/secure`;
    for (const gateway of ['default/ingress', 'ingress', 'public'])
      assert.equal(explainOnHost(mesh, own, { to, gateway }).route, 'encrypted');
    assert.throws(() => explainOnHost(mesh, own, { to, gateway: 'egress' }), { code: 'GATEWAY_UNKNOWN' });
    assert.throws(() => explainOffline(configuration, { to, gateway: 'publik' }, undefined), {
      code: 'GATEWAY_UNKNOWN',
    });
  });
});
