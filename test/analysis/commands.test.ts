/** `trysail render`, `explain` and `analyze` as a user calls them, on files and on a running agent's socket. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RULES } from '../../src/analysis/rules.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';

const SHOP = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews }
spec:
  hosts: [reviews.default.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  workloadSelector: { labels: { app: reviews } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-1 }
spec: { address: 10.0.0.6, labels: { app: reviews, version: v1 }, serviceAccount: reviews }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web-1 }
spec: { address: 10.0.0.5, labels: { app: web }, serviceAccount: web }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
  - name: jason
    match: [{ headers: { end-user: { exact: jason } } }]
    route: [{ destination: { host: reviews, subset: v1 } }]
    timeout: 5s
  - route: [{ destination: { host: reviews } }]
`;

async function shop(t: TestContext, text = SHOP): Promise<string> {
  const dir = await tempDir(t);
  await writeFile(join(dir, 'shop.yaml'), text);
  return dir;
}

test('render prints the same bytes each time, by type and by name', async (t) => {
  const dir = await shop(t);
  const args = ['render', '-f', dir, '--workload', 'default/web-1'];
  const [first, second] = [await trysail(...args, '-o', 'json'), await trysail(...args, '-o', 'json')];
  assert.deepEqual([first.code, first.err, first.out === second.out], [EXIT.ok, '', true]);
  const resources = JSON.parse(first.out) as readonly Readonly<Record<string, unknown>>[];
  const clusters = resources.flatMap(({ '@type': type, name }) => (String(type).endsWith('.Cluster') ? [name] : []));
  assert.deepEqual(clusters, ['outbound|9080|v1|reviews.default.mesh', 'outbound|9080||reviews.default.mesh']);
  const routes = await trysail(...args, '--type', 'rds', '-o', 'yaml');
  assert.match(
    routes.out,
    /^"?@type"?: type\.googleapis\.com\/envoy\.config\.route\.v3\.RouteConfiguration\n(?:.*\n)*name: reviews\.default\.mesh:9080\n/,
  );
  const summary = await trysail(...args);
  assert.match(summary.out, /^LISTENER .*\n127\.240\.\d+\.\d+_9080 .* HTTP, routes reviews\.default\.mesh:9080\n/);
});

test('render describes a workload that no file has, with the port of the service that selects it', async (t) => {
  const dir = await shop(t);
  const described = ['--labels', 'app=reviews,version=v2', '--service-account', 'reviews', '--address', '10.0.0.9'];
  const { out, code } = await trysail('render', '-f', dir, ...described, '--mode', 'capture', '--type', 'lds');
  assert.equal(code, EXIT.ok);
  assert.match(out, /virtualInbound +0\.0\.0\.0:15006 +port 9080 TLS mesh +HTTP → inbound\|9080\|\|/);
});

const SEVERAL_PORTS = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop }
spec:
  hosts: [shop]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }, { number: 5432, name: tcp, protocol: TCP }]
  workloadSelector: { labels: { app: shop } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: shop-1 }
spec: { address: 10.0.0.9, labels: { app: shop }, serviceAccount: shop, ports: { tcp: 5433 } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: shop }
spec:
  ingress:
  - { port: { number: 8080, protocol: HTTP, name: http }, defaultEndpoint: 127.0.0.1:7000 }
  - { port: { number: 5433, protocol: TCP, name: tcp }, defaultEndpoint: 127.0.0.1:7001 }
  - { port: { number: 9000, protocol: HTTP2, name: more }, defaultEndpoint: 127.0.0.1:7002 }
`;

test('render has each port of a workload once, where it is dialled, and those of its Sidecar', async (t) => {
  const dir = await shop(t, SEVERAL_PORTS);
  const { out, err, code } = await trysail('render', '-f', dir, '--workload', 'default/shop-1', '--type', 'lds');
  assert.deepEqual([code, err], [EXIT.ok, '']);
  assert.deepEqual(
    [...out.matchAll(/^10\.0\.0\.9_(\d+) /gm)].map(([, port]) => port),
    ['5433', '8080', '9000'],
  );
});

const OUTSIDE = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: web }
spec:
  hosts: [web]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.0.0.1, serviceAccount: frontend }, { address: 10.0.0.2, serviceAccount: backstage }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api }
spec:
  hosts: [api.example.com]
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
`;

test('render has the endpoint’s identity, and finds what lies outside by Host where calls are captured', async (t) => {
  const args = ['render', '-f', await shop(t, OUTSIDE), '--workload', 'default/web/10.0.0.2', '-o', 'yaml'];
  const captured = await trysail(...args, '--mode', 'capture');
  const own = /name: (spiffe:\S+)/g;
  const names = new Set([...captured.out.matchAll(own)].map(([, id]) => id));
  assert.deepEqual([...names], ['spiffe://cluster.local/ns/default/sa/backstage']);
  assert.match(captured.out, /^name: "80"$/m);
  assert.match(captured.out, /domains:\n +- api\.example\.com\n/);
  const loopback = await trysail(...args);
  assert.match(loopback.out, /^name: 127\.240\.\d+\.\d+_80$/m);
});

const NARROW = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec: { egress: [{ hosts: [./web.default.mesh] }] }
`;

test('render has the services that a Sidecar imports, and says nothing of the others', async (t) => {
  const dir = await shop(t, `${OUTSIDE}---${NARROW}`);
  for (const mode of ['loopback', 'capture']) {
    const args = ['render', '-f', dir, '--workload', 'default/web', '--mode', mode, '--type', 'rds', '-o', 'json'];
    const { out, err, code } = await trysail(...args);
    assert.deepEqual([code, err], [EXIT.ok, '']);
    const names = (JSON.parse(out) as readonly { readonly name: string }[]).map(({ name }) => name);
    assert.deepEqual(names, ['web.default.mesh:8080'], mode);
  }
});

test('render tells errors, and names workloads that there are', async (t) => {
  const dir = await shop(t, SHOP.replace('timeout: 5s', 'timout: 5s'));
  const faulty = await trysail('render', '-f', dir, '--workload', 'default/web-1');
  assert.equal(faulty.code, EXIT.invalidConfiguration);
  assert.match(faulty.err, /shop\.yaml:35: error IST0106 VirtualService default\/reviews spec\.http\[0\]\.timout: /);
  const unknown = await trysail('render', '-f', dir, '--workload', 'default/web-2');
  assert.equal(unknown.code, EXIT.usage);
  assert.equal(
    unknown.err,
    'trysail: there is no workload default/web-2 in these files.\n  Did you mean "default/web-1"?\n',
  );
  const described = await trysail('render', '-f', dir, '--labels', 'app=web', '--address', '10.0.0');
  assert.deepEqual(
    [described.code, described.err.split('.\n')[0]],
    [EXIT.usage, 'trysail: "10.0.0" is not an IP address'],
  );
  const missing = await trysail('render', '-f', join(dir, 'nowhere'), '--workload', 'a');
  assert.deepEqual([missing.code, missing.err.includes('there is no file or folder')], [EXIT.failed, true]);
});

test('explain names the route with its line, the destination, and why others were passed', async (t) => {
  const dir = await shop(t);
  const to = ['--from', 'web-1.default', '--to', 'http://reviews:9080/api/1', '-X', 'GET'];
  const { out, code } = await trysail('explain', '-f', dir, ...to, '-H', 'end-user: jason', '-o', 'json');
  assert.equal(code, EXIT.ok);
  const { route, destination, subset, weight, cluster, source, policy, action } = JSON.parse(out) as Readonly<
    Record<string, unknown>
  > & {
    readonly policy: { readonly tls: { readonly mode: string } };
    readonly action: { readonly timeout: string };
  };
  assert.deepEqual(
    { route, destination, subset, weight, cluster, source, tls: policy.tls.mode, timeout: action.timeout },
    {
      route: 'jason',
      destination: 'reviews.default.mesh',
      subset: 'v1',
      weight: 100,
      cluster: 'outbound|9080|v1|reviews.default.mesh',
      source: `${join(dir, 'shop.yaml')}:32`,
      tls: 'mutual',
      timeout: '5s',
    },
  );
  const text = await trysail('explain', '-f', dir, ...to);
  assert.match(text.out, /\n {2}✗ {2}jason .* not: end-user = jason; it is absent\n {2}✓ {2}http\[1\] .* takes it\n$/);
});

test('explain says when nothing is known, and what is no request', async (t) => {
  const dir = await shop(t);
  const unknown = await trysail('explain', '-f', dir, '--from', 'web-1', '--to', 'tcp://nobody:5432', '-o', 'json');
  assert.match(unknown.out, /"outcome": "passthrough"/);
  const stranger = await trysail(
    'explain',
    '-f',
    dir,
    '--from',
    'batch.jobs',
    '--to',
    'http://reviews.default.mesh:9080',
  );
  assert.match(
    stranger.out,
    /^GET http:\/\/reviews\.default\.mesh:9080\/ from batch\.jobs \(in no file: taken to have no labels\)\n {2}→ /,
  );
  const byLabel = await trysail('explain', '-f', dir, '--from', 'web', '--to', 'http://reviews:9080');
  assert.match(byLabel.out, / from web-1\.default\n/);
  const wrong = await trysail('explain', '-f', dir, '--from', 'web-1', '--to', 'ftp://nobody');
  assert.deepEqual(
    [wrong.code, wrong.err.startsWith('trysail: "ftp://nobody" is not something to call.\n')],
    [EXIT.usage, true],
  );
  const away = await trysail('explain', '--to', 'http://reviews', '--socket', join(dir, 'none.sock'));
  assert.equal(away.code, EXIT.agentNotRunning);
});

const TIMEOUT_FILTER = `
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: slow }
spec:
  workloadSelector: { labels: { app: web } }
  configPatches:
  - applyTo: HTTP_ROUTE
    match: { context: SIDECAR_OUTBOUND, routeConfiguration: { vhost: { route: { name: jason } } } }
    patch: { operation: MERGE, value: { route: { timeout: 9s } } }
`;

test('explain has the patches of EnvoyFilters in it, and says whose', async (t) => {
  const dir = await shop(t, `${SHOP}${TIMEOUT_FILTER}`);
  const mesh = join(await tempDir(t), 'mesh.yaml');
  await writeFile(mesh, 'envoyFilters: { namespaces: [default] }\n');
  const ask = ['explain', '-f', dir, '--to', 'http://reviews:9080/', '-H', 'end-user: jason'];
  const patched = await trysail(...ask, '--mesh', mesh, '--from', 'web-1');
  assert.match(patched.out, /\n {2}Timeout +9s\n/);
  assert.match(patched.out, /\n {2}Patched by {2}EnvoyFilter default\/slow \S+shop\.yaml:\d+\n/);
  for (const others of [
    await trysail(...ask, '--from', 'web-1'),
    await trysail(...ask, '--mesh', mesh, '--from', 'x'),
  ]) {
    assert.match(others.out, /\n {2}Timeout +5s\n/);
    assert.doesNotMatch(others.out, /Patched/);
  }
});

const PUBLIC = `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 443, name: https, protocol: HTTPS }, hosts: [www.test], tls: { mode: SIMPLE, credentialName: www } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: www }
spec: { hosts: [www.test], gateways: [public], http: [{ name: all, route: [{ destination: { host: reviews } }] }] }
`;

test('explain and render at a gateway', async (t) => {
  const dir = await shop(t, `${SHOP}${PUBLIC}`);
  const text = await trysail('explain', '-f', dir, '--gateway', 'public', '--to', 'https://www.test/a');
  assert.match(
    text.out,
    /^GET https:\/\/www\.test:443\/a at gateway default\/public\n {2}→ {2}reviews\.default\.mesh:9080 /,
  );
  assert.match(text.out, /\n {2}Route {7}all of VirtualService default\/www /);
  const other = await trysail('explain', '-f', dir, '--gateway', 'publik', '--to', 'https://www.test/');
  assert.deepEqual([other.code, other.err.includes('Did you mean "default/public"?')], [EXIT.usage, true]);
  const { out } = await trysail('render', '-f', dir, '--labels', 'istio=ingress', '--mode', 'gateway', '-o', 'yaml');
  assert.match(out, /credentials\/www\/tls\.crt/, 'a credential is where an agent looks for it');
  const moved = await shop(
    t,
    `${SHOP}${PUBLIC.replace('443', '80').replace('HTTPS', 'HTTP').replace('mode: SIMPLE, credentialName: www', 'httpsRedirect: true')}`,
  );
  const summary = await trysail('render', '-f', moved, '--labels', 'istio=ingress', '--mode', 'gateway');
  assert.match(summary.out, /http\.80 +www\.test +- +without TLS +redirect to https/);
});

test('a MeshConfig in the folder lies over the file of --mesh, for each command', async (t) => {
  const resource = (namespace: string): string => `---
apiVersion: trysail.dev/v1
kind: MeshConfig
metadata: { name: mesh, namespace: ${namespace} }
spec: { connectTimeout: 2s }
`;
  const dir = await shop(t, SHOP + resource('mesh-root'));
  const file = join(dir, 'meshconfig.yaml');
  await writeFile(file, '{ rootNamespace: mesh-root, connectTimeout: 7s, tcpKeepalive: { time: 1m } }');
  const files = ['-f', dir, '--mesh', file];
  const workload = ['--workload', 'default/web-1'];
  const { out } = await trysail('render', ...files, ...workload, '--type', 'cds', '-o', 'yaml');
  assert.deepEqual(
    new Set(out.match(/^(?:connect_timeout| +keepalive_time): .*/gm)),
    new Set(['connect_timeout: 2s', '    keepalive_time: 60']),
  );
  const explained = await trysail('explain', ...files, ...workload, '--to', 'http://reviews:9080/');
  assert.match(explained.out, /^ +Connecting +at most 2s$/m);
  const analyzed = await trysail('analyze', ...files, '--fail-on', 'warning');
  assert.deepEqual([analyzed.code, analyzed.err], [EXIT.ok, '']);

  await writeFile(join(dir, 'shop.yaml'), SHOP + resource('default'));
  const elsewhere = await trysail('explain', ...files, ...workload, '--to', 'http://reviews:9080/');
  assert.match(elsewhere.out, /^ +Connecting +at most 7s$/m);
  const found = await trysail('analyze', ...files);
  assert.equal(found.code, EXIT.invalidConfiguration);
  assert.match(found.out, /error +TRY0008 +MeshConfig default\/mesh: is not mesh-root\/mesh/);
});

test('analyze exits by severity, and annotates', async (t) => {
  const clean = await trysail('analyze', '-f', await shop(t), '--fail-on', 'info');
  assert.deepEqual([clean.code, clean.out], [EXIT.ok, 'Nothing is wrong.\n']);
  const dir = await shop(
    t,
    SHOP.replace('labels: { version: v1 } }]', 'labels: { version: v9 } }]').replace(
      'subset: v1 } }]\n',
      'subset: v2 } }]\n',
    ),
  );
  const args = ['analyze', '-f', dir];
  const text = await trysail(...args);
  assert.equal(text.code, EXIT.invalidConfiguration);
  assert.match(text.out, /\n\n1 error, 1 warning\.\n$/);
  assert.equal((await trysail(...args, '--fail-on', 'never')).code, EXIT.ok);
  const suppressed = ['--suppress', 'IST0173'];
  assert.equal((await trysail(...args, ...suppressed)).code, EXIT.ok);
  assert.equal((await trysail(...args, ...suppressed, '--fail-on', 'warning')).code, EXIT.warnings);
  const github = await trysail(...args, '-o', 'github');
  assert.match(
    github.out,
    /^::error file=.*shop\.yaml,line=\d+,title=IST0173::DestinationRule default\/reviews spec\.subsets\[0\]: /,
  );
  const json = JSON.parse((await trysail(...args, '-o', 'json')).out) as {
    readonly diagnostics: readonly { readonly code: string }[];
  };
  assert.deepEqual(
    json.diagnostics.map(({ code }) => code),
    ['IST0173', 'IST0101'],
  );
});

test('what is asked for and not there is told, not answered with nothing', async (t) => {
  const args = ['render', '-f', await shop(t), '--workload', 'default/web-1'];
  const name = await trysail(...args, '--name', 'outbound|9080||review.default.mesh');
  assert.deepEqual([name.code, name.out], [EXIT.usage, '']);
  assert.match(name.err, /Did you mean "outbound\|9080\|\|reviews\.default\.mesh"/);
  const locality = await trysail(...args, '--locality', 'a/b/c/d');
  assert.deepEqual([locality.code, locality.out], [EXIT.usage, '']);
  assert.match(locality.err, /"a\/b\/c\/d" is not a locality/);
  const both = ['explain', '--from', 'web', '--gateway', 'public', '--to', 'http://[::1]:80/'];
  assert.equal((await trysail(...both)).code, EXIT.usage);
  const address = await trysail('explain', ...args.slice(1), '--to', 'http://[::1]:80/');
  assert.match(address.out, /^GET http:\/\/\[::1\]:80\/ from /);
});

const OF_KUBERNETES = `apiVersion: apps/v1
kind: Deployment
metadata: { name: reviews }
---
apiVersion: v1
kind: Service
metadata: { name: reviews }
`;

test('a repository that is of Kubernetes too: its own documents are passed over, and told once', async (t) => {
  const dir = await shop(t);
  await writeFile(join(dir, 'apps.yaml'), OF_KUBERNETES);
  await writeFile(join(dir, 'package.json'), '{"kind":"module"}');
  const analyzed = await trysail('analyze', '-f', dir, '--fail-on', 'info');
  assert.deepEqual([analyzed.code, analyzed.err], [EXIT.ok, '']);
  assert.match(analyzed.out, /note +TRY0009 +2 documents are passed over, .*: Deployment \(1\), Service \(1\)\n/);
  assert.match(analyzed.out, /note +TRY0009 .*package\.json\n/);
  assert.match(analyzed.out, /\n\n2 notes\.\n$/);
  const rendered = await trysail('render', '-f', dir, '--workload', 'default/web-1');
  assert.equal(rendered.code, EXIT.ok);
  assert.match(rendered.err, /^info TRY0009: 2 documents are passed over, /);
  const explained = await trysail('explain', '-f', dir, '--from', 'web-1', '--to', 'http://reviews:9080/');
  assert.deepEqual([explained.code, explained.err], [EXIT.ok, '']);

  const nothing = await trysail('analyze', '-f', join(dir, 'apps.yaml'));
  assert.equal(nothing.code, EXIT.failed);
  assert.match(nothing.err, /^trysail: there are no resources in .*apps\.yaml: 2 documents are passed over, /);
  const named = await trysail('analyze', '-f', join(dir, 'shop.yaml'), '-f', join(dir, 'package.json'));
  assert.equal(named.code, EXIT.invalidConfiguration, 'a file that is named is meant');
});

test('docs/analyze.md has every code that a rule may report', async () => {
  const page = await readFile(join(ROOT, 'docs/analyze.md'), 'utf8');
  for (const code of new Set(RULES.flatMap(({ codes }) => codes))) assert.ok(page.includes(code), code);
});

test('explain says at once that a fault keeps all requests', async (t) => {
  const fault = 'fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }';
  const dir = await shop(t, SHOP.replace('  - route:', `  - ${fault}\n    route:`));
  const { out, code } = await trysail('explain', '-f', dir, '--from', 'web-1', '--to', 'http://reviews:9080/');
  assert.equal(code, EXIT.ok);
  assert.match(
    out,
    /^GET .*\n {2}never sent: a fault answers with 503\n {2}→ {2}reviews\.default\.mesh:9080 {2}outbound\|9080\|\|/,
  );
});
