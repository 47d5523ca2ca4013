import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDiagnostic } from '../../model/diagnostic.ts';
import { parseResources } from '../resource-reader.ts';

function read(namespace: string, spec: string): ReturnType<typeof parseResources> {
  const head = `apiVersion: trysail.dev/v1\nkind: Service\nmetadata: {name: web, namespace: ${namespace}}\nspec:\n`;
  return parseResources([{ file: 'a.yaml', text: head + spec }]);
}

test('a record says ports, accounts, TLS and the Consul name', () => {
  const { serviceRecords, diagnostics } = read(
    'payments',
    '  ports: [{number: 80, name: http, protocol: http}, {number: 81}]\n  serviceAccounts: [web, ops/deploy]\n  tls: migrating\n  consulName: legacy\n',
  );
  assert.deepEqual(diagnostics, []);
  const { meta, ...record } = serviceRecords[0] ?? { meta: undefined };
  assert.equal(meta?.namespace, 'payments');
  assert.deepEqual(record, {
    consulName: 'legacy',
    ports: [
      { number: 80, name: 'http', protocol: 'HTTP' },
      { number: 81, name: 'port-81', protocol: 'AUTO' },
    ],
    accounts: [
      { namespace: 'payments', serviceAccount: 'web' },
      { namespace: 'ops', serviceAccount: 'deploy' },
    ],
    tls: 'migrating',
  });
});

test('an empty record is the convention', () => {
  const { serviceRecords } = read('payments', '  {}\n');
  const { meta: _, ...record } = serviceRecords[0] ?? { meta: undefined };
  assert.deepEqual(record, {
    consulName: 'payments--web',
    ports: [],
    accounts: [{ namespace: 'payments', serviceAccount: 'web' }],
    tls: undefined,
  });
});

const bad: readonly (readonly [string, string, string])[] = [
  [
    'the Consul name of another namespace',
    '  consulName: shop--web\n',
    '5: error IST0106 spec.consulName: the Consul name "shop--web" belongs to namespace shop (the resource is not applied). Write the record in that namespace.',
  ],
  [
    'a TLS mode that does not exist',
    '  tls: plain\n',
    '5: error IST0106 spec.tls: "plain" is not one of the values (the resource is not applied). Use one of: required, migrating.',
  ],
  [
    'something that is no account',
    '  serviceAccounts: ["spiffe://x/y"]\n',
    '5: error IST0106 spec.serviceAccounts[0]: "spiffe://x/y" is not a service account (the resource is not applied). Write its name, or namespace/name.',
  ],
  [
    'a port twice',
    '  ports: [{number: 80}, {number: 80}]\n',
    '5: error IST0106 spec.ports[1].number: port 80 stands here twice (the resource is not applied). Keep one.',
  ],
];

for (const [what, spec, expected] of bad)
  test(`a Service record with ${what}`, () => {
    const { diagnostics, serviceRecords } = read('payments', spec);
    assert.deepEqual(
      diagnostics.map((d) =>
        formatDiagnostic(d)
          .replace(/^a\.yaml:/, '')
          .replace('Service payments/web ', ''),
      ),
      [expected],
    );
    assert.deepEqual(serviceRecords, []);
  });
