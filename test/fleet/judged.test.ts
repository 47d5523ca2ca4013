// What `trysail apply` tells before it writes: all that `trysail analyze` would say of the fleet with the change.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { publishedResources } from '../../src/fleet/fleet.ts';
import { eventually } from '../support/eventually.ts';
import { trysail } from '../support/run-trysail.ts';
import { startFleet } from './fleet-lab.ts';

const resource = (kind: string, name: string, spec: object): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace: 'shop' },
  spec,
});
const RATINGS = resource('ServiceEntry', 'ratings', {
  hosts: ['ratings.shop.mesh'],
  location: 'MESH_INTERNAL',
  resolution: 'STATIC',
  ports: [{ number: 9080, name: 'http', protocol: 'HTTP' }],
  endpoints: [{ address: '10.0.3.1', labels: { version: 'v1' } }],
});
const rule = (name: string, version: string): object =>
  resource('DestinationRule', name, { host: 'ratings', subsets: [{ name: 'v1', labels: { version } }] });

test('apply holds a change against all that is published, as analyze does; errors stop it', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(RATINGS);
  const key = join(lab.dir, 'admin.key');
  await writeFile(key, lab.admin.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const file = join(lab.dir, 'change.yaml');
  const apply = async (
    resources: readonly object[],
    ...options: readonly string[]
  ): Promise<Awaited<ReturnType<typeof trysail>>> => {
    await writeFile(file, resources.map((one) => JSON.stringify(one)).join('\n---\n'));
    const access = ['--consul', lab.consul.address, '--root', lab.trustFile, '--key', key];
    return await trysail('apply', '-f', file, ...access, ...options);
  };

  const wrong = await apply([rule('ratings', 'v9')]);
  assert.equal(wrong.code, EXIT.invalidConfiguration);
  assert.match(wrong.err, /change\.yaml:1: error IST0173 DestinationRule shop\/ratings spec\.subsets\[0\]: /);
  assert.equal((await publishedResources(lab.fleet, ['shop'])).length, 1, 'nothing of it is published');
  const dry = await apply([rule('ratings', 'v9')], '--dry-run');
  assert.equal(dry.code, EXIT.invalidConfiguration);
  assert.match(dry.err, / error IST0173 /);

  const right = await apply([rule('ratings', 'v1')]);
  assert.deepEqual([right.code, right.err], [EXIT.ok, '']);
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'ratings' } };
  const doubtful = await apply([rule('again', 'v1'), deployment]);
  assert.equal(doubtful.code, EXIT.ok);
  assert.match(doubtful.err, /^info TRY0009: 1 document is passed over, /m);
  assert.match(doubtful.err, /change\.yaml:1: warning TRY0503 DestinationRule shop\/again spec\.subsets\[0\]: /);

  const elsewhere = resource('Sidecar', 'web', {
    workloadSelector: { labels: { app: 'in-consul' } },
    egress: [{ hosts: ['*/*'] }],
  });
  const old = await apply([elsewhere]);
  assert.deepEqual([old.code, old.err], [EXIT.ok, ''], 'what was doubtful before is no news');
  const written = 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: more\nspec:\n';
  const subsets = '  host: ratings\n  subsets:\n  - name: v8\n    labels: { version: v8 }\n';
  const more = join(lab.dir, 'below.yaml');
  await writeFile(more, `${written}${subsets}`);
  const below = await apply([elsewhere], '-n', 'shop', '-f', more);
  assert.match(below.err, /below\.yaml:8: error IST0173 /, 'a namespace that is added moves no line');
  const nothing = await apply([deployment]);
  assert.equal(nothing.code, EXIT.failed);
  assert.match(nothing.err, /there are no resources in /);
});

test('analyze --fleet looks at all that is published, and at what Consul has', async (t) => {
  const lab = await startFleet(t);
  const to = (host: string): object =>
    resource('VirtualService', host, { hosts: [host], http: [{ route: [{ destination: { host } }] }] });
  await lab.apply(RATINGS, rule('ratings', 'v9'), to('reviews'), to('nowhere'));
  const args = ['analyze', '--fleet', '--consul', lab.consul.address, '--root', lab.trustFile, '-o', 'json'];
  const findings = async (): Promise<readonly string[]> => {
    const { code, out, err } = await trysail(...args);
    assert.deepEqual([code, err], [EXIT.invalidConfiguration, '']);
    const { diagnostics } = JSON.parse(out) as { readonly diagnostics: readonly { code: string; object: string }[] };
    return diagnostics.map((one) => `${one.code} ${one.object}`);
  };
  assert.deepEqual(await findings(), ['IST0173 DestinationRule shop/ratings'], 'nobody knows what else there is');

  const url = `${lab.consul.address}/v1/agent/service/register`;
  const body = JSON.stringify({ Name: 'shop--reviews', Address: '10.0.2.1', Port: 9080 });
  assert.ok((await fetch(url, { method: 'PUT', body })).ok);
  await eventually('the service of Consul counts', async () =>
    assert.deepEqual(await findings(), ['IST0173 DestinationRule shop/ratings', 'IST0101 VirtualService shop/nowhere']),
  );
  const both = await trysail(...args, '-f', 'x');
  assert.equal(both.code, EXIT.usage);
});
