import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { composeHead } from './compose-head.ts';
import { type MeshDocument, TYPES } from './documents.ts';
import { KeptFleet } from './kept-fleet.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { contentHash, isRefused, sealDocument } from './signed-document.ts';
import { createSigningKey, publicKeyText, type SigningKey } from './signing-key.ts';

const FLEET = '0123456789abcdef0123456789abcdef';
const OTHER_FLEET = 'f123456789abcdef0123456789abcdef';
const [root, admin, stranger] = [createSigningKey(), createSigningKey(), createSigningKey()];
const publicText = ({ privateKey }: SigningKey): string => publicKeyText(createPublicKey(privateKey));

function listed(fleet: string, key: SigningKey): Publishers {
  const document: MeshDocument = {
    version: 1,
    fleet,
    revision: 1,
    previous: null,
    atMs: 1,
    publishers: [{ name: 'admin', publicKey: publicText(key), namespaces: ['*'], kinds: ['*'], mayFreeze: false }],
    floors: {},
    localResources: 'deny',
  };
  const roots = [{ id: root.id, publicKey: createPublicKey(root.privateKey) }];
  const opened = openPublishers(sealDocument(TYPES.mesh, JSON.stringify(document), root), roots);
  assert.ok(!isRefused(opened), JSON.stringify(opened));
  return opened;
}

const BODY = 'a body';

async function keptNamespace(t: TestContext): Promise<{ readonly kept: KeptFleet; readonly headFile: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'kept-fleet-'));
  t.after(async () => rm(dir, { recursive: true }));
  const { held } = composeHead(
    {
      fleet: FLEET,
      transaction: { id: 't', revisions: { shop: 1 } },
      key: admin,
      plan: { action: 'apply', message: undefined },
      budget: 60_000,
    },
    {
      current: { namespace: 'shop', held: undefined, modifyIndex: 0 },
      puts: [{ kind: 'VirtualService', name: 'a', text: BODY }],
      deletes: [],
    },
  );
  const kept = new KeptFleet(dir);
  await kept.write(held, () => BODY);
  return { kept, headFile: join(dir, 'fleet/shop/head.json') };
}

test('what was written is read again, by the list of its fleet alone', async (t) => {
  const { kept } = await keptNamespace(t);
  const read = await kept.read('shop', listed(FLEET, admin));
  assert.deepEqual([...(read?.held.entries.keys() ?? [])], ['VirtualService/a']);
  assert.deepEqual([...(read?.bodies ?? [])], [[contentHash(BODY), BODY]]);
  assert.equal(read?.held.key, admin.id);
  assert.equal(await kept.read('shop', undefined), undefined, 'no list');
  assert.equal(await kept.read('shop', listed(OTHER_FLEET, admin)), undefined, 'another fleet');
  assert.equal(await kept.read('shop', listed(FLEET, stranger)), undefined, 'a key that no list has');
});

test('a file that somebody has changed is not used', async (t) => {
  const { kept, headFile } = await keptNamespace(t);
  const file = JSON.parse(await readFile(headFile, 'utf8')) as { sealed: string; index: string[] };
  const read = async (change: object): Promise<unknown> => {
    await writeFile(headFile, JSON.stringify({ ...file, ...change }));
    return kept.read('shop', listed(FLEET, admin));
  };
  assert.ok(await read({}), 'as it was');
  assert.ok(file.sealed.includes('apply'));
  assert.equal(await read({ sealed: file.sealed.replace('apply', 'delete') }), undefined, 'the head');
  assert.equal(await read({ index: [] }), undefined, 'no list of resources');
  assert.equal(await read({ index: ['[]'] }), undefined, 'another list of resources');
});
