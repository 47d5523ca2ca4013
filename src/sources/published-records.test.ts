import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { publishedRecords } from './published-records.ts';
import { parseResources } from './resource-reader.ts';

const record = (namespace: string, name: string, consulName?: string): string =>
  `apiVersion: trysail.dev/v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${consulName === undefined ? '' : `consulName: ${consulName}`}}
`;

function verdict(...records: readonly string[]): {
  readonly count: readonly string[];
  readonly said: readonly string[];
} {
  const { serviceRecords, diagnostics } = parseResources([{ file: 'in.yaml', text: records.join('---\n') }]);
  assert.deepEqual(diagnostics, []);
  const { records: counting, diagnostics: said } = publishedRecords(serviceRecords, { rootNamespace: 'mesh-root' });
  if (said.length === 0) assert.equal(counting, serviceRecords);
  return {
    count: counting.map(({ meta, consulName }) => `${meta.namespace}/${meta.name}=${consulName}`),
    said: said.map(formatDiagnostic),
  };
}

test('a published record counts for a Consul name of its own namespace', () => {
  assert.deepEqual(
    verdict(
      record('shop', 'web'),
      record('shop', 'api', 'shop--legacy-api'),
      record('default', 'reviews'),
      record('default', 'pay', 'payments'),
    ),
    {
      count: ['shop/web=shop--web', 'shop/api=shop--legacy-api', 'default/reviews=reviews', 'default/pay=payments'],
      said: [],
    },
  );
});

test('a name without a namespace is for default and the root namespace', () => {
  assert.deepEqual(verdict(record('mesh-root', 'billing', 'billing')).said, []);
  assert.deepEqual(verdict(record('shop', 'billing', 'billing'), record('shop', 'web')), {
    count: ['shop/web=shop--web'],
    said: [
      'in.yaml:1: error TRY0715 Service shop/billing spec.consulName: the Consul name "billing" belongs to namespace default; a record that is published in shop does not count for it. Register the service as "shop--billing" and leave consulName out, or publish the record in default or mesh-root.',
    ],
  });
});

test('a name of another namespace is refused whoever writes it', () => {
  for (const namespace of ['shop', 'default', 'mesh-root']) {
    const text = record(namespace, 'web', 'pay--web');
    const { serviceRecords, diagnostics } = parseResources([{ file: 'in.yaml', text }]);
    assert.deepEqual([serviceRecords, diagnostics.map(({ code }) => code)], [[], ['IST0106']]);
  }
});
