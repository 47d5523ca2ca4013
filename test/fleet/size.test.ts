// How much a namespace and a host may hold, on a real Consul: what is refused before it is written, and what a host
// refuses that somebody published all the same.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NamespaceChanges } from '../../src/fleet/compose-head.ts';
import { applyResources } from '../../src/fleet/fleet.ts';
import { FleetFollower } from '../../src/fleet/follower.ts';
import { FLEET_LIMITS, headKey } from '../../src/fleet/layout.ts';
import { publish } from '../../src/fleet/publish.ts';
import { publicHalf } from '../../src/fleet/signing-key.ts';
import { silentLog } from '../../src/lib/log.ts';
import { eventually } from '../support/eventually.ts';
import { answering, type FleetLab, manifestsOf, startFleet } from './fleet-lab.ts';

const MB = 1024 * 1024;
/** Comments count as text, and cost a test little. */
const COMMENT = `# ${'words that explain it '.repeat(11_000)}\n`;

/** So much text, in resources of which each may be published. */
function puts(bytes: number, status: number, namespace: string): NamespaceChanges['puts'] {
  return Array.from({ length: Math.ceil(bytes / COMMENT.length) }, (_, i) => {
    const name = `web-${i}`;
    return {
      kind: 'VirtualService',
      name,
      text: `${COMMENT}# ${i}\n${JSON.stringify(answering(name, status, namespace))}\n`,
    };
  });
}

/** Publishes as somebody who keeps to no bound; replaces what was there. */
async function publishText(
  { fleet, admin }: FleetLab,
  namespace: string,
  bytes: number,
  status: number,
): Promise<void> {
  await publish(fleet.store, admin, async (publishers) => {
    const current = await fleet.store.current(namespace, publishers);
    const wanted = puts(bytes, status, namespace);
    const names = new Set(wanted.map(({ name }) => name));
    const deletes = [...(current.held?.entries.values() ?? [])].filter(({ name }) => !names.has(name));
    return { action: 'apply', message: undefined, namespaces: [{ current, puts: wanted, deletes }] };
  });
}

interface Host {
  readonly follower: FleetFollower;
  /** What the first VirtualService of a namespace answers with; undefined: there is none. */
  status(namespace: string): number | undefined;
  /** `code namespace` of each diagnostic. */
  said(): readonly string[];
}

async function startHost(
  t: TestContext,
  { client, root, dir }: FleetLab,
  namespaces: readonly string[],
): Promise<Host> {
  const stateDir = join(dir, 'host');
  await mkdir(stateDir, { recursive: true });
  const follower = new FleetFollower({
    kv: client.kv,
    host: 'web-1',
    roots: [publicHalf(root)],
    stateDir,
    maxNamespaces: 64,
    log: silentLog(),
    onChange: () => undefined,
  });
  t.after(async () => follower.stop());
  await follower.start(new Set(namespaces));
  await follower.firstAnswers(120_000, t.signal);
  return {
    follower,
    status: (namespace) =>
      follower.resources.virtualServices.find(({ meta }) => meta.namespace === namespace && meta.name === 'web-0')
        ?.http[0]?.directResponse?.status,
    said: () => follower.diagnostics.map(({ code, object }) => `${code} ${object ?? ''}`),
  };
}

test('a namespace with too much text, or too many resources, is refused before anything is written', async (t) => {
  const lab = await startFleet(t);
  await lab.apply(answering('web', 200));
  const { value: before } = await lab.client.kv.get(headKey('shop'));
  const manifestsFor = (count: number, more: object): ReturnType<typeof manifestsOf> =>
    manifestsOf(...Array.from({ length: count }, (_, i) => ({ ...answering(`a-${i}`, 200), ...more })));
  const large = manifestsFor(40, { status: { note: COMMENT } });
  await assert.rejects(applyResources(lab.fleet, { manifests: large }, { key: lab.admin }), {
    code: 'FLEET_TOO_LARGE',
    message: /^The namespace shop would have 9\.\d MB of text; 8 MB is the most\.$/,
  });
  const many = Array.from({ length: 16_000 }, (_, i) => ({
    kind: 'VirtualService',
    name: `a-${i}`,
    namespace: 'shop',
    text: '{}\n',
    source: { file: 'in.yaml', line: i + 1 },
    lines: { first: i + 1, added: undefined },
  }));
  await assert.rejects(applyResources(lab.fleet, { manifests: many }, { key: lab.admin }), {
    code: 'FLEET_TOO_LARGE',
    message: 'The namespace shop would have 16001 resources; 16000 is the most.',
  });
  assert.deepEqual((await lab.client.kv.get(headKey('shop'))).value, before);
  // What is too large already may become smaller, and nothing else.
  await publishText(lab, 'shop', 9 * MB, 200);
  await assert.rejects(lab.apply(answering('more', 200)), { code: 'FLEET_TOO_LARGE' });
  const report = await applyResources(
    lab.fleet,
    { manifests: manifestsOf(answering('web-0', 201)) },
    { key: lab.admin },
  );
  assert.equal(report.revisions['shop'], 3);
});

test('a host holds no more of a namespace than the bound, and goes on with what it had', async (t) => {
  const lab = await startFleet(t);
  await publishText(lab, 'shop', MB, 200);
  const host = await startHost(t, lab, ['shop']);
  assert.equal(host.status('shop'), 200);
  await publishText(lab, 'shop', FLEET_LIMITS.namespaceBytes + MB, 201);
  await eventually('it is refused', () => assert.deepEqual(host.said(), ['TRY0714 namespace shop']));
  assert.equal(host.status('shop'), 200);
  const [said] = host.follower.diagnostics;
  assert.match(said?.message ?? '', /its resources have more than 8 MB of text; revision 1 holds$/);
  await publishText(lab, 'shop', MB, 202);
  await eventually('the next is in force', () => assert.equal(host.status('shop'), 202));
  assert.deepEqual(host.said(), []);
});

test('a host holds no more of all namespaces than the bound; one that becomes smaller makes room', async (t) => {
  const lab = await startFleet(t);
  await publishText(lab, 'a', 6 * MB, 200);
  await publishText(lab, 'b', 6 * MB, 200);
  const host = await startHost(t, lab, ['a', 'b', 'c']);
  assert.deepEqual([host.status('a'), host.status('b')], [200, 200]);
  await publishText(lab, 'c', 6 * MB, 200);
  await eventually('it is refused', () => assert.deepEqual(host.said(), ['TRY0714 namespace c']));
  assert.equal(host.status('c'), undefined);
  assert.match(
    host.follower.diagnostics[0]?.message ?? '',
    /those of the other namespaces that this host follows \(12\.\d MB\) have more than 16 MB of text; nothing of it is in force$/,
  );
  await publishText(lab, 'b', MB, 201);
  await eventually('there is room', () => assert.equal(host.status('c'), 200));
  assert.deepEqual([host.status('a'), host.status('b'), host.said()], [200, 201, []]);
  await publishText(lab, 'b', 6 * MB, 202);
  await eventually('the larger one is refused now', () => assert.deepEqual(host.said(), ['TRY0714 namespace b']));
  assert.equal(host.status('b'), 201);
  host.follower.setNamespaces(new Set(['b', 'c']));
  await eventually('nobody needs the third', () => assert.equal(host.status('b'), 202));
  assert.deepEqual([host.status('a'), host.said()], [undefined, []]);
});
