// Publishing to a real Consul: who may, what is refused, what concurrent publishers and enemies do to each other.
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  applyResources,
  deleteResources,
  FleetRefusal,
  namespaceHistory,
  openFleet,
  proposeApply,
  publishedResources,
  rollBack,
} from '../../src/fleet/fleet.ts';
import { addPublisher, revokePublisher } from '../../src/fleet/fleet-admin.ts';
import { freezeReport, setFrozen } from '../../src/fleet/freeze.ts';
import { headKey, MESH_KEY, NAMESPACES_PREFIX, revisionsPrefix } from '../../src/fleet/layout.ts';
import { publish } from '../../src/fleet/publish.ts';
import { repairFleet } from '../../src/fleet/repair.ts';
import { createSigningKey, publicHalf } from '../../src/fleet/signing-key.ts';
import { startConsul } from '../support/consul.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';
import { answering, manifestsOf, startFleet } from './fleet-lab.ts';

const rule = (name: string, subset = 'v1', namespace = 'shop'): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name, namespace },
  spec: { host: name, subsets: [{ name: subset, labels: { version: subset } }] },
});

test('the life of a namespace: apply, diff, prune, delete, history, roll-back, freeze', async (t) => {
  const { fleet, admin, apply } = await startFleet(t);
  const first = await apply(answering('reviews', 418), rule('ratings'));
  assert.deepEqual(first.revisions, { shop: 1 });
  assert.deepEqual(
    first.changes.map(({ action, kind, name }) => `${action} ${kind}/${name}`),
    ['created DestinationRule/ratings', 'created VirtualService/reviews'],
  );
  assert.deepEqual((await apply(answering('reviews', 418))).revisions, {}, 'nothing changed, nothing is published');

  const [before] = await publishedResources(fleet, ['shop']);
  await apply(rule('ratings', 'v2'));
  const [after] = await publishedResources(fleet, ['shop']);
  assert.equal(after?.createdAt, before?.createdAt, 'a changed resource keeps its age');
  assert.deepEqual([before?.revision, after?.revision], [1, 2]);

  const request = { manifests: manifestsOf(rule('details')), prune: ['shop'] };
  const proposed = await proposeApply(fleet, request);
  assert.deepEqual(
    proposed.changes.map(({ action, name }) => `${action} ${name}`),
    ['created details', 'deleted ratings', 'deleted reviews'],
  );
  assert.equal((await publishedResources(fleet, undefined)).length, 2, 'a proposal writes nothing');
  const why = `only\ndetails ${'!'.repeat(1000)}`;
  await applyResources(fleet, request, { key: admin, message: why });
  await rollBack(fleet, 'shop', 1, { key: admin });
  const back = await publishedResources(fleet, ['shop']);
  assert.deepEqual(
    back.map(({ name, createdAt }) => [name, createdAt]),
    [
      ['ratings', before?.createdAt],
      ['reviews', before?.createdAt],
    ],
    'ages come back',
  );
  await deleteResources(fleet, [{ kind: 'DestinationRule', name: 'ratings', namespace: 'shop' }], { key: admin });
  const history = await namespaceHistory(fleet, 'shop');
  assert.deepEqual(
    history.map(({ revision, action, created, changed, deleted }) => [revision, action, created, changed, deleted]),
    [
      [5, 'delete', 0, 0, 1],
      [4, 'rollback', 2, 0, 1],
      [3, 'apply', 1, 0, 2],
      [2, 'apply', 0, 1, 0],
      [1, 'apply', 2, 0, 0],
    ],
  );
  assert.deepEqual([history[2]?.message?.slice(0, 15), history[2]?.publisher], ['only details !!', 'admin']);
  await assert.rejects(rollBack(fleet, 'shop', 9, { key: admin }), { code: 'FLEET_NO_SUCH_REVISION' });

  await setFrozen(fleet, admin, true, 'a\nfeast');
  await assert.rejects(apply(rule('later')), { code: 'FLEET_FROZEN' });
  assert.deepEqual([(await freezeReport(fleet)).frozen, (await freezeReport(fleet)).message], [true, 'a feast']);
  await setFrozen(fleet, admin, false, undefined);
  assert.deepEqual((await apply(rule('later'))).revisions, { shop: 6 });
});

test('resources with errors refuse the whole change, at the line where they stand', async (t) => {
  const { fleet, admin, apply } = await startFleet(t);
  await apply(rule('ratings'));
  const faulty = { ...answering('reviews', 418), spec: { hosts: ['reviews'], htttp: [] } };
  await assert.rejects(
    applyResources(fleet, { manifests: manifestsOf(rule('details'), faulty) }, { key: admin }),
    (error: unknown) =>
      error instanceof FleetRefusal &&
      error.diagnostics.some(({ source }) => source?.file === 'in.yaml' && source.line === 3),
  );
  assert.equal((await publishedResources(fleet, undefined)).length, 1);
});

test('what a publisher left behind is collected, and nothing that somebody needs', async (t) => {
  const { fleet, client, admin, apply } = await startFleet(t);
  const names = async (): Promise<readonly string[]> => (await client.kv.keys(`${NAMESPACES_PREFIX}shop/`)).value;
  await apply(answering('reviews', 418));
  const left = ['obj', 'index'].map((part) => `${NAMESPACES_PREFIX}shop/${part}/${'x'.repeat(43)}`);
  for (const key of left) await client.kv.put(key, Buffer.from('left behind'));
  await apply(answering('reviews', 419));
  const needed = (await names()).filter((key) => !left.includes(key));
  const coming = `${NAMESPACES_PREFIX}shop/obj/${'y'.repeat(43)}`;
  await client.kv.put(coming, Buffer.from('of somebody who is about to publish'));
  assert.deepEqual(await repairFleet(fleet), [{ namespace: 'shop', collected: 2 }]);
  assert.deepEqual((await names()).toSorted(), [...needed, coming].toSorted());
  await rollBack(fleet, 'shop', 1, { key: admin });
  assert.deepEqual(await repairFleet(fleet), [{ namespace: 'shop', collected: 1 }]);
});

test('what is new is the youngest, in the check before it is published too', async (t) => {
  const { fleet, apply } = await startFleet(t);
  await apply(answering('reviews', 418));
  const second = {
    ...answering('another', 419),
    spec: { hosts: ['reviews'], http: [{ directResponse: { status: 419 } }] },
  };
  const { diagnostics } = await proposeApply(fleet, { manifests: manifestsOf(second) });
  const found = diagnostics.find(({ code }) => code === 'IST0109');
  assert.match(found?.object ?? '', /another/, JSON.stringify(diagnostics));
});

test('publishers change what the list allows, until they are revoked', async (t) => {
  const lab = await startFleet(t);
  const { fleet, root, apply } = lab;
  const [team, limited, stranger] = [createSigningKey(), createSigningKey(), createSigningKey()];
  const common = { namespaces: ['shop'], mayFreeze: false };
  await addPublisher(fleet, root, { ...common, name: 'team', publicKey: publicHalf(team), kinds: ['*'] });
  const kinds = ['VirtualService'];
  await addPublisher(fleet, root, { ...common, name: 'limited', publicKey: publicHalf(limited), kinds });
  const as = async (key: typeof team, ...resources: readonly object[]): Promise<unknown> =>
    applyResources(fleet, { manifests: manifestsOf(...resources) }, { key });

  await as(team, rule('ratings'));
  await as(limited, answering('reviews', 418));
  await assert.rejects(as(limited, rule('ratings', 'v2')), { code: 'FLEET_FORBIDDEN' });
  await assert.rejects(as(team, rule('x', 'v1', 'pay')), { code: 'FLEET_FORBIDDEN' });
  await assert.rejects(as(stranger, rule('x')), { code: 'FLEET_FORBIDDEN' });
  await assert.rejects(setFrozen(fleet, team, true, undefined), { code: 'FLEET_FORBIDDEN' });
  await assert.rejects(revokePublisher(fleet, team, 'limited'), { code: 'FLEET_FORBIDDEN' });

  await revokePublisher(fleet, root, 'limited');
  await assert.rejects(as(limited, answering('reviews', 419)), { code: 'FLEET_FORBIDDEN' });
  assert.equal((await publishedResources(fleet, ['shop'])).length, 2, 'what it published stands');
  await apply(answering('reviews', 420));
  assert.deepEqual(
    (await namespaceHistory(fleet, 'shop')).map(({ publisher }) => publisher),
    ['admin', 'limited', 'team'],
  );
});

test('a freeze, or another list of publishers, that comes between planning and writing', async (t) => {
  const { fleet, admin, root, apply } = await startFleet(t);
  await apply(rule('ratings'));
  const between = async (once: () => Promise<void>): Promise<unknown> => {
    let done = false;
    return publish(fleet.store, admin, async (publishers) => {
      const current = await fleet.store.current('shop', publishers);
      if (!done) await once();
      done = true;
      const puts = [{ kind: 'DestinationRule', name: 'ratings', text: 'never' }];
      return { action: 'apply', message: undefined, namespaces: [{ current, puts, deletes: [] }] };
    });
  };
  await assert.rejects(
    between(async () => setFrozen(fleet, admin, true, undefined)),
    { code: 'FLEET_FROZEN' },
  );
  await setFrozen(fleet, admin, false, undefined);
  await assert.rejects(
    between(async () => revokePublisher(fleet, root, 'admin')),
    { code: 'FLEET_FORBIDDEN' },
  );
  assert.deepEqual((await namespaceHistory(fleet, 'shop')).length, 1);
});

test('two publishers at once: both changes are there in the end, one after the other', async (t) => {
  const { fleet, admin } = await startFleet(t);
  const names = Array.from({ length: 4 }, (_, i) => `service-${i}`);
  const reports = await Promise.all(
    names.map(async (name) => applyResources(fleet, { manifests: manifestsOf(rule(name)) }, { key: admin })),
  );
  assert.deepEqual(
    reports.map(({ revisions }) => revisions['shop'] ?? 0).sort((a, b) => a - b),
    [1, 2, 3, 4],
  );
  assert.deepEqual((await publishedResources(fleet, ['shop'])).map(({ name }) => name).sort(), names);
});

test('a head that does not verify stops publishers, and is repaired from the copies', async (t) => {
  const { fleet, client, apply } = await startFleet(t);
  await apply(rule('ratings'));
  const old = (await client.kv.get(headKey('shop'))).value;
  await apply(rule('ratings', 'v2'));
  await client.kv.put(headKey('shop'), Buffer.from('{}'));
  await assert.rejects(apply(rule('details')), { code: 'FLEET_UNVERIFIED' });
  assert.deepEqual(await repairFleet(fleet), [{ namespace: 'shop', revision: 2 }]);
  assert.deepEqual(await repairFleet(fleet), []);

  assert.ok(old);
  await client.kv.put(headKey('shop'), old.value);
  await assert.rejects(apply(rule('details')), { code: 'FLEET_UNVERIFIED' }, 'hosts would refuse what is built on it');
  assert.deepEqual(await repairFleet(fleet), [{ namespace: 'shop', revision: 2 }]);
  assert.deepEqual((await apply(rule('details'))).revisions, { shop: 3 });
});

test('the list of publishers is the root’s: another key’s is refused', async (t) => {
  const { fleet, client, apply, dir, consul } = await startFleet(t);
  const foreign = createSigningKey();
  const file = join(dir, 'foreign.pem');
  await writeFile(file, foreign.publicPem);
  const other = await openFleet({ consul: consul.address, root: file });
  t.after(() => other.close());
  await assert.rejects(publishedResources(other, undefined), { code: 'FLEET_UNVERIFIED' });
  const list = (await client.kv.get(MESH_KEY)).value;
  assert.ok(list);
  await client.kv.put(MESH_KEY, Buffer.from(Buffer.from(list.value).toString().replace('admin', 'enemy')));
  await assert.rejects(apply(rule('x')), { code: 'FLEET_UNVERIFIED' });
  await client.kv.put(MESH_KEY, list.value);
  assert.equal((await publishedResources(fleet, undefined)).length, 0);
});

test('600 resources in one step, and history that is kept no longer than it is promised', async (t) => {
  const { fleet, client, admin, apply } = await startFleet(t);
  const startedAt = performance.now();
  const many = Array.from({ length: 600 }, (_, i) => rule(`service-${String(i).padStart(3, '0')}`));
  assert.deepEqual((await apply(...many)).revisions, { shop: 1 });
  t.diagnostic(`600 resources applied in ${Math.round(performance.now() - startedAt)} ms`);
  assert.equal((await publishedResources(fleet, ['shop'])).length, 600);
  const head = (await client.kv.get(headKey('shop'))).value;
  assert.ok((head?.value.length ?? 0) <= 64 * 1024, `${head?.value.length} bytes`);
  for (let i = 2; i <= 36; i += 1) await apply(rule('service-000', `v${i}`));
  const history = await namespaceHistory(fleet, 'shop');
  assert.deepEqual([history[0]?.revision, history.at(-1)?.revision, history.length], [36, 5, 32]);
  const copies = (await client.kv.keys(revisionsPrefix('shop'))).value;
  assert.equal(copies.length, 32, 'older copies are gone');
  const bodies = (await client.kv.keys('trysail/v1/ns/shop/obj/')).value;
  // 599 that never changed, and one for each kept revision.
  assert.equal(bodies.length, 599 + 32);
  const small = (await client.kv.get(headKey('shop'))).value;
  t.diagnostic(`one changed resource: a head of ${small?.value.length} bytes`);
  await rollBack(fleet, 'shop', 5, { key: admin });
  const [first] = await publishedResources(fleet, ['shop']);
  assert.match(first?.text ?? '', /"v5"/, 'the oldest kept revision is whole');
});

test('62 namespaces of the longest names change in one step, 63 do not', async (t) => {
  const { fleet, apply } = await startFleet(t);
  const resources = (count: number, subset: string): readonly object[] =>
    Array.from({ length: count }, (_, i) => rule('ratings', subset, `${'n'.repeat(60)}-${String(i).padStart(2, '0')}`));
  assert.equal(Object.keys((await apply(...resources(62, 'v1'))).revisions).length, 62);
  assert.equal(Object.keys((await apply(...resources(62, 'v2'))).revisions).length, 62);
  assert.equal((await publishedResources(fleet, undefined)).length, 62);
  await assert.rejects(apply(...resources(63, 'v3')), { code: 'FLEET_TOO_MANY_NAMESPACES' });
});

test('the commands, as a user calls them', async (t) => {
  const dir = await tempDir(t);
  const consul = await startConsul(t);
  const keys = join(dir, 'keys');
  const consulOption = ['--consul', consul.address.replace('http://', '')];
  const access = [...consulOption, '--root', join(keys, 'fleet-root.pub.pem')];
  const [root, admin, team] = ['fleet-root.key', 'admin.key', 'team.key'].map((name) => join(keys, name));
  assert.ok(root !== undefined && admin !== undefined && team !== undefined);
  const file = join(dir, 'in.yaml');
  const { metadata, ...rest } = rule('ratings') as { metadata: { name: string } };
  await writeFile(file, `# a comment\n${JSON.stringify({ ...rest, metadata: { name: metadata.name } })}\n`);
  const run = async (code: number, ...args: readonly string[]): Promise<string> => {
    const { code: ended, out, err } = await trysail(...args);
    assert.equal(ended, code, `${args.join(' ')}: ${out}${err}`);
    return out + err;
  };
  assert.match(await run(1, 'get', '-A', ...consulOption, '--root', file), /holds no Ed25519 public key/);
  assert.match(
    await run(1, 'fleet', 'init', '--dir', join(file, 'x'), ...consulOption),
    /cannot be made.*\n {2}Name one/,
  );
  await run(0, 'fleet', 'init', '--dir', keys, ...consulOption);
  assert.equal((await stat(root)).mode & 0o777, 0o600);
  assert.match(await run(1, 'fleet', 'init', '--dir', keys, ...consulOption), /has a fleet configuration already/);
  assert.match(await run(0, 'get', '-A', ...access), /Nothing is published/);
  assert.match(await run(10, 'diff', '-f', file, '-n', 'shop', ...access), /created DestinationRule shop\/ratings/);
  assert.match(await run(1, 'apply', '-f', file, ...access), /No key to sign/);
  assert.match(await run(2, 'get', 'virtualservise', ...access), /Did you mean "VirtualService"\?/);
  assert.match(
    await run(2, 'apply', '-f', file, '--stage', 'soon', '--key', admin, ...access),
    /no step of a roll-out/,
  );
  const faulty = join(keys, '.faulty.yaml');
  await writeFile(faulty, await readFile(file, 'utf8').then((text) => text.replace('"host"', '"hast"')));
  assert.match(await run(3, 'apply', '-f', faulty, '--key', admin, ...access), /faulty\.yaml:\d+: error/);
  const published = await run(0, 'apply', '-f', dir, '-n', 'shop', '--key', admin, '-m', 'first', ...access);
  assert.match(published, /created +DestinationRule shop\/ratings\nshop is at revision 1\./);
  assert.match(await run(0, 'diff', '-f', file, '-n', 'shop', ...access), /Nothing would change/);
  const got = await run(0, 'get', 'dr/ratings', '-n', 'shop', '-o', 'yaml', ...access);
  assert.match(got, /^# a comment\n[^]*namespace/);

  await run(0, 'publisher', 'key', team);
  const allow = ['--public-key', join(keys, 'team.pub.pem'), '--namespace', 'shop', '--root-key', root];
  await run(0, 'publisher', 'add', 'team', ...allow, ...access);
  await run(0, 'delete', 'destinationrule/ratings', '-n', 'shop', '--key', team, ...access);
  assert.match(
    await run(0, 'history', '-n', 'shop', ...access),
    /shop +2 +\S+ +team +delete[^]*shop +1 +\S+ +admin +apply .*first/,
  );
  await run(0, 'freeze', '-m', 'a feast', '--key', admin, ...access);
  assert.match(
    await run(1, 'rollback', '-n', 'shop', '--to', '1', '--key', team, ...access),
    /frozen by admin .*a feast/,
  );
  await run(0, 'unfreeze', '--key', admin, ...access);
  assert.match(await run(0, 'rollback', '-n', 'shop', '--to', '1', '--key', team, ...access), /revision 3/);
  await run(0, 'publisher', 'revoke', 'team', '--root-key', root, ...access);
  assert.match(await run(0, 'publisher', 'list', ...access), /team +\S+ +shop +\* +no +revoked/);
  assert.match(await run(1, 'rollback', '-n', 'shop', '--to', '2', '--key', team, ...access), /team is revoked/);
  const history = JSON.parse(await run(0, 'history', '-n', 'shop', '-o', 'json', ...access)) as readonly object[];
  assert.equal(history.length, 3);
});

test('a record for a name in Consul that is not of its namespace is not published; one of default or the root is', async (t) => {
  const { fleet, apply } = await startFleet(t);
  const record = (namespace: string, consulName: string): object => ({
    apiVersion: 'trysail.dev/v1',
    kind: 'Service',
    metadata: { name: 'billing', namespace },
    spec: { consulName },
  });
  await assert.rejects(apply(record('shop', 'billing')), (error: unknown) => {
    assert.ok(error instanceof FleetRefusal);
    assert.deepEqual(
      error.diagnostics.map(({ code, source }) => `${code} ${source?.file ?? ''}:${source?.line ?? 0}`),
      ['TRY0715 in.yaml:1'],
    );
    return true;
  });
  await assert.rejects(apply(record('shop', 'pay--billing')), { code: 'FLEET_INVALID' });
  await apply(record('shop', 'shop--legacy-billing'), record('default', 'billing'), record('istio-system', 'legacy'));
  assert.equal((await publishedResources(fleet, undefined)).length, 3);
});
