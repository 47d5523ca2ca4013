import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  array,
  assert as check,
  constantFrom,
  dictionary,
  integer,
  nat,
  property,
  record,
  string,
  tuple,
} from 'fast-check';
import { TrysailError } from '../lib/errors.ts';
import { readCatalogueSnapshot, writeCatalogueSnapshot } from './catalogue-snapshot.ts';

const plain = { noNullPrototype: true };
const instance = record(
  {
    id: string(),
    node: string(),
    address: string(),
    port: integer({ min: 1, max: 65_535 }),
    status: constantFrom('passing', 'warning', 'critical'),
    tags: array(string(), { maxLength: 2 }),
    meta: dictionary(string(), string(), { maxKeys: 2, noNullPrototype: true }),
    weights: record({ passing: nat(), warning: nat() }, plain),
    datacenter: string(),
  },
  plain,
);

test('what was written is read again', () => {
  check(
    property(array(tuple(string(), array(instance))), (services) => {
      const state = { services: new Map(services), diagnostics: [] };
      const read = readCatalogueSnapshot(writeCatalogueSnapshot(state));
      assert.deepEqual(read.services, state.services);
    }),
  );
});

test('instances that are alike share their tags and Meta', () => {
  const one = {
    id: 'n/1',
    node: 'n',
    address: 'a',
    port: 1,
    status: 'passing',
    tags: ['t'],
    meta: { k: 'v' },
    weights: { passing: 1, warning: 1 },
    datacenter: 'dc1',
  } as const;
  const list = [one, { ...one, id: 'n/2', tags: ['t'], meta: { k: 'v' } }];
  const read = readCatalogueSnapshot(
    writeCatalogueSnapshot({ services: new Map([['web', list]]), diagnostics: [] }),
  ).services.get('web');
  assert.deepEqual(read, list);
  assert.equal(read?.[0]?.meta, read?.[1]?.meta);
});

test('anything else is refused', () => {
  const good = JSON.parse(
    writeCatalogueSnapshot({
      services: new Map([
        [
          'web',
          [
            {
              id: 'n/1',
              node: 'n',
              address: 'a',
              port: 1,
              status: 'passing',
              tags: [],
              meta: {},
              weights: { passing: 1, warning: 1 },
              datacenter: 'dc1',
            },
          ],
        ],
      ]),
      diagnostics: [],
    }),
  ) as Record<string, unknown> & { services: { web: [object] } };
  const [web] = good.services.web;
  for (const bad of [
    '',
    '{"format":"trysail-cata',
    'null',
    '[]',
    JSON.stringify({ ...good, format: 'x' }),
    JSON.stringify({ ...good, version: 2 }),
    JSON.stringify({ ...good, shapes: undefined }),
    JSON.stringify({ ...good, shapes: [{ tags: [1], meta: {}, weights: { passing: 1, warning: 1 } }] }),
    JSON.stringify({ ...good, shapes: [{ tags: [], meta: { a: 1 }, weights: { passing: 1, warning: 1 } }] }),
    JSON.stringify({ ...good, services: { web: 'x' } }),
    ...[{ port: 0 }, { port: '1' }, { status: 'odd' }, { shape: 7 }, { shape: -1 }, { id: 3 }].map((change) =>
      JSON.stringify({ ...good, services: { web: [{ ...web, ...change }] } }),
    ),
  ])
    assert.throws(
      () => readCatalogueSnapshot(bad),
      (error) => error instanceof TrysailError && error.code === 'CATALOGUE_SNAPSHOT_INVALID',
      bad,
    );
});
