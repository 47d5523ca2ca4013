import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CatalogueLook } from './catalogue-look.ts';

const SERVICES = new Map([
  ['a-vm-1', 'a'],
  ['b-vm-1', 'b'],
]);
const { signal } = new AbortController();

function look(answer: (id: string) => boolean | Error): { readonly look: CatalogueLook; readonly asked: string[] } {
  const asked: string[] = [];
  const catalogHas = async (_: string, id: string): Promise<boolean> => {
    asked.push(id);
    const said = answer(id);
    return said instanceof Error ? Promise.reject(said) : Promise.resolve(said);
  };
  return { look: new CatalogueLook({ client: { catalogHas }, everyMs: 0 }), asked };
}

test('what the servers lack is named a few times, and then given up', async () => {
  const { look: it } = look((id) => id === 'b-vm-1');
  for (let i = 0; i < 3; i++) assert.deepEqual([...(await it.missing(SERVICES, signal))], ['a-vm-1']);
  assert.deepEqual([...(await it.missing(SERVICES, signal))], []);
});

test('servers that do not answer are asked no more in this look, and again in the next', async () => {
  let isAway = true;
  const { look: it, asked } = look(() => (isAway ? new Error('no servers') : false));
  assert.deepEqual([...(await it.missing(SERVICES, signal))], []);
  assert.deepEqual(asked, ['a-vm-1']);
  isAway = false;
  assert.deepEqual([...(await it.missing(SERVICES, signal))], ['a-vm-1', 'b-vm-1']);
});

test('between two looks nobody is asked', async () => {
  const asked: string[] = [];
  const catalogHas = async (_: string, id: string): Promise<boolean> => {
    asked.push(id);
    return Promise.resolve(false);
  };
  const it = new CatalogueLook({ client: { catalogHas }, everyMs: 3_600_000 });
  assert.deepEqual([...(await it.missing(SERVICES, signal))], []);
  assert.deepEqual(asked, []);
});
