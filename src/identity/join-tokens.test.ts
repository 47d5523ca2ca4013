import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { JoinTokens, type TokenInfo } from './join-tokens.ts';

async function store(t: TestContext): Promise<{ dir: string; tokens: JoinTokens; clock: { now: number } }> {
  const dir = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const clock = { now: 1_000_000 };
  return { dir, tokens: new JoinTokens(dir, () => clock.now), clock };
}

const OPTIONS = { allow: ['default/*'], uses: 3, ttlMs: 60_000 };
const key = (n: number): string => n.toString(16).padStart(64, '0');

async function verified(tokens: JoinTokens, made: { id: string; secret: string }): Promise<TokenInfo> {
  const result = await tokens.verify(made.id, made.secret, undefined);
  assert.ok('token' in result);
  return result.token;
}

test('the secret is nowhere on disk', async (t) => {
  const { dir, tokens } = await store(t);
  const { id, secret } = await tokens.create(OPTIONS);
  const text = await readFile(join(dir, 'tokens', id, 'token.json'), 'utf8');
  assert.ok(!text.includes(secret));
  assert.ok(!JSON.stringify(await tokens.list()).includes('ecret'));
});

test('verify() tells unknown, foreign, revoked, expired and misdirected tokens', async (t) => {
  const { tokens, clock } = await store(t);
  const made = await tokens.create({ ...OPTIONS, host: 'vm-1' });
  const { secret } = await tokens.create(OPTIONS);
  assert.deepEqual(await tokens.verify(made.id, secret, 'vm-1'), { problem: 'unknown' });
  assert.deepEqual(await tokens.verify('abcdef', made.secret, 'vm-1'), { problem: 'unknown' });
  assert.deepEqual(await tokens.verify('../../x', made.secret, 'vm-1'), { problem: 'unknown' });
  assert.deepEqual(await tokens.verify(made.id, made.secret, 'vm-2'), { problem: 'other-host' });
  assert.ok('token' in (await tokens.verify(made.id, made.secret, 'vm-1')));
  clock.now += 59_999;
  assert.ok('token' in (await tokens.verify(made.id, made.secret, 'vm-1')));
  clock.now += 1;
  assert.deepEqual(await tokens.verify(made.id, made.secret, 'vm-1'), { problem: 'expired' });
  await tokens.revoke(made.id);
  assert.deepEqual(await tokens.verify(made.id, made.secret, 'vm-1'), { problem: 'revoked' });
  await assert.rejects(tokens.revoke('nothing'), { code: 'TOKEN_UNKNOWN' });
});

test('claim() gives out as many uses as there are, to several processes at once', async (t) => {
  const { dir, tokens } = await store(t);
  const made = await tokens.create(OPTIONS);
  const token = await verified(tokens, made);
  // Each has its own idea of the state, as different processes have.
  const stores = Array.from({ length: 20 }, () => new JoinTokens(dir, () => 1_000_000));
  const claims = await Promise.all(
    stores.map(async (one, i) => one.claim(token, { host: `vm-${i}`, keySha256: key(i) })),
  );
  assert.equal(claims.filter((claim) => claim !== undefined).length, 3);
  const [listed] = await tokens.list();
  assert.equal(listed?.used, 3);
  assert.equal(listed?.state, 'used');
  assert.equal(listed?.usedBy.length, 3);
});

test('a use that is given back can be taken again; a repeat takes none', async (t) => {
  const { dir, tokens } = await store(t);
  const made = await tokens.create({ ...OPTIONS, uses: 2 });
  const token = await verified(tokens, made);
  const first = await tokens.claim(token, { host: 'vm-1', keySha256: key(1) });
  assert.ok(await tokens.claim(token, { host: 'vm-2', keySha256: key(2) }));
  assert.ok(await tokens.claim(token, { host: 'vm-2', keySha256: key(2) }), 'a repeat');
  assert.equal(await tokens.claim(token, { host: 'vm-3', keySha256: key(2) }), undefined, 'the key under another name');
  assert.equal(await tokens.claim(token, { host: 'vm-3', keySha256: key(3) }), undefined);
  await first?.();
  assert.ok(await tokens.claim(token, { host: 'vm-3', keySha256: key(3) }));
  assert.deepEqual((await readdir(join(dir, 'tokens', made.id))).filter((name) => name.startsWith('use-')).toSorted(), [
    'use-1',
    'use-2',
  ]);
});

test('create() refuses what makes no sense', async (t) => {
  const { tokens } = await store(t);
  for (const wrong of [
    { allow: [] },
    { allow: ['x'] },
    { uses: 0 },
    { uses: 1.5 },
    { uses: Number.NaN },
    { ttlMs: 0 },
    { ttlMs: Number.NaN },
    { host: 'a/b' },
  ]) {
    await assert.rejects(
      tokens.create({ ...OPTIONS, ...wrong }),
      { code: 'TOKEN_OPTIONS_INVALID' },
      JSON.stringify(wrong),
    );
  }
  assert.deepEqual(await tokens.list(), []);
});
