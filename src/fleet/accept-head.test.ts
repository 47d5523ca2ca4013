import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Held, judgeHead, takeHead } from './accept-head.ts';
import { composeHead, type NewHead } from './compose-head.ts';
import { type MeshDocument, TYPES } from './documents.ts';
import { openPublishers, type Publishers } from './publishers.ts';
import { contentHash, isRefused, sealDocument } from './signed-document.ts';
import { createSigningKey, publicKeyOf, type SigningKey } from './signing-key.ts';

const root = createSigningKey();
const [admin, limited, stranger] = [createSigningKey(), createSigningKey(), createSigningKey()];
const FLEET = '0123456789abcdef0123456789abcdef';

const publicText = ({ publicPem }: SigningKey): string => publicPem.replaceAll(/-----[A-Z ]+-----|\s/g, '');
const rootKey = publicKeyOf(publicText(root));
assert.ok(rootKey);
const ROOTS = [rootKey];

function listed(change: Partial<MeshDocument> = {}): Publishers {
  const publisher = (name: string, key: SigningKey, kinds: string[]): MeshDocument['publishers'][number] => ({
    name,
    publicKey: publicText(key),
    namespaces: ['shop', 'team-*'],
    kinds,
    mayFreeze: false,
  });
  const document: MeshDocument = {
    version: 1,
    fleet: FLEET,
    revision: 1,
    previous: null,
    atMs: 1,
    publishers: [publisher('admin', admin, ['*']), publisher('limited', limited, ['VirtualService'])],
    floors: {},
    localResources: 'deny',
    ...change,
  };
  const opened = openPublishers(sealDocument(TYPES.mesh, JSON.stringify(document), root), ROOTS);
  assert.ok(!isRefused(opened), JSON.stringify(opened));
  return opened;
}

const PUBLISHERS = listed();

interface Next {
  readonly key?: SigningKey;
  readonly puts?: readonly (readonly [kind: string, name: string, text: string])[];
  readonly deletes?: readonly (readonly [kind: string, name: string])[];
  readonly namespace?: string;
  readonly fleet?: string;
}

/** The revision after `held`, as a publisher would compose it who keeps to no rule. */
function next(
  held: Held | undefined,
  { key = admin, puts = [], deletes = [], namespace = 'shop', fleet }: Next,
): NewHead {
  const revision = (held?.head.revision ?? 0) + 1;
  return composeHead(
    {
      fleet: fleet ?? FLEET,
      transaction: { id: 't', revisions: { [namespace]: revision } },
      key,
      plan: { action: 'apply', message: undefined },
      budget: 60_000,
    },
    {
      current: { namespace, held, modifyIndex: 0 },
      puts: puts.map(([kind, name, text]) => ({ kind, name, text })),
      deletes: deletes.map(([kind, name]) => ({ kind, name })),
    },
  );
}

const first = next(undefined, {
  puts: [
    ['DestinationRule', 'a', 'one'],
    ['VirtualService', 'b', 'one'],
  ],
});
const second = next(first.held, { puts: [['VirtualService', 'b', 'two']] });

/** What a host says of a head: the refusal, or the names of what it takes. */
async function verdict(
  head: { readonly sealed: string; readonly parts?: readonly string[] },
  before: Held | undefined,
  publishers = PUBLISHERS,
  namespace = 'shop',
): Promise<string> {
  const judged = judgeHead(head.sealed, namespace, publishers, before);
  if (isRefused(judged)) return judged.refused;
  const taken = await takeHead(judged, before, publishers, async (hash) => {
    const part = head.parts?.find((text) => contentHash(text) === hash);
    if (part === undefined) throw new Error('the index was read');
    return part;
  });
  return isRefused(taken) ? taken.refused : [...taken.entries.keys()].join(' ');
}

const sealed = ({ held, parts }: NewHead): { readonly sealed: string; readonly parts: readonly string[] } => ({
  sealed: held.sealed,
  parts,
});

test('what follows is taken, by the changes in the head alone, or by the index after a gap', async () => {
  assert.equal(await verdict({ sealed: first.held.sealed }, undefined), 'DestinationRule/a VirtualService/b');
  assert.equal(await verdict({ sealed: second.held.sealed }, first.held), 'DestinationRule/a VirtualService/b');
  let held = second.held;
  for (let i = 0; i < 40; i += 1) held = next(held, { puts: [['VirtualService', 'b', `${i}`]] }).held;
  const last = next(held, { deletes: [['DestinationRule', 'a']] });
  await assert.rejects(verdict({ sealed: last.held.sealed }, second.held), /the index was read/);
  assert.equal(await verdict(sealed(last), second.held), 'VirtualService/b');
  assert.ok(last.held.head.changes.length <= 32);
});

test('any change of a byte of the signed text, the signature, the key or the type is refused', async () => {
  const document = JSON.parse(second.held.sealed) as Record<'type' | 'key' | 'signature' | 'payload', string>;
  const payload = JSON.parse(document.payload) as Record<string, unknown>;
  for (const field of Object.keys(payload)) {
    const forged = { ...payload, [field]: field === 'revision' ? 99 : null };
    const refusal = await verdict(
      { sealed: JSON.stringify({ ...document, payload: JSON.stringify(forged) }) },
      first.held,
    );
    assert.match(refusal, /signature/, field);
  }
  const withField = (change: Partial<typeof document>): { readonly sealed: string } => ({
    sealed: JSON.stringify({ ...document, ...change }),
  });
  assert.match(await verdict(withField({ signature: `A${document.signature.slice(1)}` }), first.held), /signature/);
  assert.match(await verdict(withField({ key: limited.id }), first.held), /signature/);
  assert.match(await verdict(withField({ key: stranger.id }), first.held), /no publisher/);
  assert.match(await verdict(withField({ type: TYPES.mesh }), first.held), /fleet-mesh/);
  assert.match(await verdict({ sealed: 'x' }, first.held), /not JSON/);
  assert.match(await verdict({ sealed: '[]' }, first.held), /not a signed document/);
  assert.match(await verdict({ sealed: ' '.repeat(200_000) }, first.held), /larger/);
  const otherType = sealDocument(TYPES.freeze, document.payload, admin);
  assert.match(await verdict({ sealed: otherType }, first.held), /fleet-freeze/);
});

test('replays, forks, breaks of the chain and heads of elsewhere are refused', async () => {
  const fork = next(first.held, { puts: [['VirtualService', 'b', 'other']] });
  const third = next(fork.held, { puts: [['VirtualService', 'b', 'third']] });
  assert.match(await verdict(sealed(first), second.held), /revision 1 is below 2/);
  assert.match(await verdict(sealed(fork), second.held), /another revision 2/);
  assert.match(await verdict(sealed(third), second.held), /revision 3 does not follow/);
  assert.match(await verdict(sealed(second), first.held, PUBLISHERS, 'team-x'), /belongs to the namespace shop/);
  assert.match(await verdict(sealed(next(undefined, { fleet: 'f'.repeat(32) })), undefined), /another fleet/);
  const elsewhere = next(undefined, { namespace: 'pay' });
  assert.match(await verdict(sealed(elsewhere), undefined, PUBLISHERS, 'pay'), /may not publish in pay/);
  assert.equal(await verdict(sealed(next(undefined, { namespace: 'team-x' })), undefined, PUBLISHERS, 'team-x'), '');
});

test('a publisher of one kind changes and deletes no other, also where a host has seen nothing before', async () => {
  const rule = next(first.held, { key: limited, puts: [['DestinationRule', 'a', 'mine']] });
  assert.match(await verdict(sealed(rule), first.held), /limited may not change the kind DestinationRule/);
  assert.match(await verdict(sealed(rule), undefined), /limited may not change the kind DestinationRule/);
  const gone = next(first.held, { key: limited, deletes: [['DestinationRule', 'a']] });
  assert.match(await verdict(sealed(gone), first.held), /limited may not change the kind DestinationRule/);
  const own = next(first.held, { key: limited, puts: [['VirtualService', 'b', 'mine']] });
  assert.equal(await verdict(sealed(own), first.held), 'DestinationRule/a VirtualService/b');
  // Deleted by who may, then somebody else went on: the head says so for hosts that were away.
  const deleted = next(own.held, { deletes: [['DestinationRule', 'a']] });
  const after = next(deleted.held, { key: limited, puts: [['VirtualService', 'b', 'again']] });
  assert.equal(await verdict(sealed(after), own.held), 'VirtualService/b');
});

/** The head of `made` with another payload, signed again by its publisher: an enemy with a publisher's key. */
function resigned(
  made: NewHead,
  key: SigningKey,
  change: (payload: Record<string, unknown>) => void,
): { sealed: string } {
  const { payload } = JSON.parse(made.held.sealed) as { readonly payload: string };
  const document = JSON.parse(payload) as Record<string, unknown>;
  change(document);
  return { sealed: sealDocument(TYPES.head, JSON.stringify(document), key) };
}

test('a publisher cannot bring back an older version of what another has signed', async () => {
  const newer = next(first.held, { puts: [['DestinationRule', 'a', 'new']] });
  const made = next(newer.held, { key: limited, puts: [['VirtualService', 'c', 'x']] });
  const old = next(first.held, { key: limited, puts: [['VirtualService', 'c', 'x']] });
  // An index with the first version of DestinationRule a, which admin has signed in its time.
  const forged = resigned(made, limited, (document) => {
    document['index'] = old.held.head.index;
    document['changesSince'] = 3;
    document['changes'] = [];
  });
  const refusal = await verdict({ ...forged, parts: old.parts }, newer.held);
  assert.match(refusal, /DestinationRule a is of revision 1, in which this host has seen another/);
});

test('a publisher of one kind cannot leave out what another has signed', async () => {
  const without = next(next(undefined, { puts: [['VirtualService', 'b', 'one']] }).held, { key: limited });
  const forged = resigned(without, limited, (document) => {
    document['previous'] = first.held.hash;
    document['changes'] = [first.held.head.changes[1]];
    document['changesSince'] = 2;
    document['index'] = [contentHash(JSON.stringify([first.held.head.changes[1]]))];
  });
  const parts = [JSON.stringify([first.held.head.changes[1]])];
  assert.match(await verdict({ ...forged, parts }, first.held), /DestinationRule a is missing/);
});

test('a change whose own signature is of elsewhere is refused', async () => {
  const other = next(undefined, { namespace: 'team-x', puts: [['VirtualService', 'b', 'one']] });
  const tuple = other.held.head.changes[0];
  const forged = resigned(first, admin, (document) => {
    document['changes'] = [tuple];
    document['index'] = other.held.head.index;
  });
  assert.match(await verdict({ ...forged, parts: other.parts }, undefined), /signature of VirtualService b/);
});

test('a revoked publisher signs nothing new; what it had signed stands at the floor and above', async () => {
  const third = next(second.held, { key: limited, puts: [['VirtualService', 'b', 'three']] });
  const { document } = PUBLISHERS;
  const revoked = listed({
    publishers: document.publishers.map((one) => (one.name === 'limited' ? { ...one, revokedAtMs: 5 } : one)),
    floors: { shop: { revision: 3, hash: third.held.hash } },
  });
  assert.equal(await verdict(sealed(third), undefined, revoked), 'DestinationRule/a VirtualService/b');
  const fourth = next(third.held, { key: limited, puts: [['VirtualService', 'b', 'four']] });
  assert.match(await verdict(sealed(fourth), third.held, revoked), /limited is revoked/);
  const empty = next(third.held, { key: limited });
  assert.match(await verdict(sealed(empty), third.held, revoked), /limited is revoked/);
  const onTop = next(third.held, { puts: [['DestinationRule', 'a', 'four']] });
  assert.equal(await verdict(sealed(onTop), third.held, revoked), 'DestinationRule/a VirtualService/b');
  assert.match(await verdict(sealed(second), undefined, revoked), /revision 2 is not above 3/);
  const otherThird = next(second.held, { puts: [['VirtualService', 'b', 'x']] });
  assert.match(await verdict(sealed(otherThird), undefined, revoked), /not above 3/);
});

test('the list of publishers counts with the root’s signature alone', () => {
  const list = sealDocument(TYPES.mesh, JSON.stringify(PUBLISHERS.document), admin);
  const opened = openPublishers(list, ROOTS);
  assert.ok(isRefused(opened) && /not the trusted root key/.test(opened.refused));
});
