import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Held, judgeHead } from './accept-head.ts';
import { composeHead, type NewHead } from './compose-head.ts';
import { type MeshDocument, type Stage, TYPES } from './documents.ts';
import { revisionKey } from './layout.ts';
import { openPublishers } from './publishers.ts';
import { isRefused, sealDocument } from './signed-document.ts';
import { createSigningKey, publicKeyOf } from './signing-key.ts';
import { parseSteps, takesPart, upToOf } from './stage.ts';
import { stagedBase } from './staged-base.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

test('steps are read as people write them', () => {
  assert.deepEqual(parseSteps('1, 5%,all'), ['1', '5%', 'all']);
  assert.deepEqual(parseSteps('1,5%'), ['1', '5%', 'all']);
  assert.deepEqual(parseSteps('100%'), ['all']);
  for (const wrong of ['', '0', '0%', '101%', 'all,1', 'some', '-1', Array.from({ length: 16 }, () => '1').join(',')])
    assert.throws(() => parseSteps(wrong), { code: 'FLEET_STEPS' }, wrong);
});

test('a step takes as many hosts as it says, and those of the step before', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(names, fc.uuid(), fc.integer({ min: 1, max: 70 }), (hosts, id, count) => {
      const of = (step: string): readonly string[] =>
        hosts.filter((host) => takesPart({ id, upTo: upToOf(id, step, hosts) }, host));
      assert.equal(of(String(count)).length, Math.min(count, hosts.length));
      assert.equal(of('5%').length, Math.ceil(hosts.length / 20));
      assert.deepEqual(of('all'), hosts);
      const more = new Set(of(String(count + 1)));
      assert.ok(of(String(count)).every((host) => more.has(host)));
    }),
  );
});

const [root, admin] = [createSigningKey(), createSigningKey()];
const FLEET = '0123456789abcdef0123456789abcdef';
const publicText = (pem: string): string => pem.replaceAll(/-----[A-Z ]+-----|\s/g, '');

function publishers(): Exclude<ReturnType<typeof openPublishers>, { readonly refused: string }> {
  const rootKey = publicKeyOf(publicText(root.publicPem));
  assert.ok(rootKey);
  const document: MeshDocument = {
    version: 1,
    fleet: FLEET,
    revision: 1,
    previous: null,
    atMs: 1,
    publishers: [
      { name: 'admin', publicKey: publicText(admin.publicPem), namespaces: ['*'], kinds: ['*'], mayFreeze: false },
    ],
    floors: {},
    localResources: 'deny',
  };
  const opened = openPublishers(sealDocument(TYPES.mesh, JSON.stringify(document), root), [rootKey]);
  assert.ok(!isRefused(opened));
  return opened;
}

function next(held: Held | undefined, stage: Omit<Stage, 'base'> | undefined, text?: string): NewHead {
  const revision = (held?.head.revision ?? 0) + 1;
  const puts = text === undefined ? [] : [{ kind: 'VirtualService', name: 'reviews', text }];
  const transaction = { id: `t${revision}`, revisions: { shop: revision } };
  return composeHead(
    { fleet: FLEET, transaction, key: admin, plan: { action: 'apply', message: undefined }, stage, budget: 65_536 },
    { current: { namespace: 'shop', held, modifyIndex: 0 }, puts, deletes: [] },
  );
}

const stage = (step: number): Omit<Stage, 'base'> => ({
  id: 'rollout',
  steps: ['1', '2', 'all'],
  step,
  upTo: '0'.repeat(16),
  spreadMs: 0,
});

/** A head with another stage than it was composed with, signed anew. */
function restaged({ held }: NewHead, change: Partial<Stage>): string {
  const { stage: was, ...rest } = held.head;
  assert.ok(was);
  return sealDocument(TYPES.head, JSON.stringify({ ...rest, stage: { ...was, ...change } }), admin);
}

test('a host that comes new takes what the steps go out from, and nothing older that somebody names', async () => {
  const by = publishers();
  const first = next(undefined, undefined, 'one');
  const second = next(first.held, undefined, 'two');
  const one = next(second.held, stage(1), 'three');
  const two = next(one.held, stage(2));
  const copies = new Map(
    [first, second, one, two].map(({ held }) => [revisionKey('shop', held.head.revision, held.hash), held.sealed]),
  );
  const kv = {
    get: async (key: string) => {
      const text = copies.get(key);
      const value = text === undefined ? undefined : { key, value: Buffer.from(text), modifyIndex: 1, createIndex: 1 };
      return { value, index: 1, lastContactMs: 0, knownLeader: true, filteredByAcl: false, bytes: 0 };
    },
  };
  const { signal } = new AbortController();
  const baseOf = async (sealed: string, before?: Held): ReturnType<typeof stagedBase> => {
    const judged = judgeHead(sealed, 'shop', by, undefined);
    assert.ok(!isRefused(judged), JSON.stringify(judged));
    return stagedBase(judged, before, by, { kv, signal });
  };
  for (const head of [one, two]) assert.equal((await baseOf(head.held.sealed))?.judged.hash, second.held.hash);
  assert.equal(await baseOf(two.held.sealed, second.held), undefined, 'who holds it keeps it');
  assert.equal(await baseOf(two.held.sealed, one.held), undefined, 'and nobody goes back');

  const older = { revision: first.held.head.revision, hash: first.held.hash };
  const judged = judgeHead(restaged(two, { base: older }), 'shop', by, undefined);
  assert.match('refused' in judged ? judged.refused : '', /its step does not follow/);
  assert.ok('refused' in judgeHead(restaged(one, { base: { ...older, revision: 2 } }), 'shop', by, undefined));
  assert.ok('refused' in judgeHead(restaged(two, { step: 4 }), 'shop', by, undefined));
  // With numbers that fit: what lies between says that it is no part of it.
  await assert.rejects(baseOf(restaged(two, { base: older, step: 3 })), { code: 'FLEET_UNVERIFIED' });
  copies.delete(revisionKey('shop', 3, one.held.hash));
  await assert.rejects(baseOf(two.held.sealed), { code: 'FLEET_UNVERIFIED' });
});
