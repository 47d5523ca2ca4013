import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isForeignKind, sortOf } from './foreign-documents.ts';
import { collectPassedOver, refuseNothing } from './passed-over.ts';
import { parseResources } from './resource-reader.ts';

test('kinds of other programs are foreign; ours, misspelt ones and unsupported ones of Istio are not', () => {
  for (const [apiVersion, kind] of [
    ['v1', 'Service'],
    ['apps/v1', 'Deployment'],
    ['gateway.networking.k8s.io/v1', 'Gateway'],
    ['kustomize.config.k8s.io/v1beta1', 'Kustomization'],
    ['serving.knative.dev/v1', 'Service'],
    ['policy.linkerd.io/v1alpha1', 'AuthorizationPolicy'],
    ['networking.gke.io/v1', 'ManagedCertificate'],
    ['security.openshift.io/v1', 'SecurityContextConstraints'],
    ['cert-manager.io/v1', 'Certificate'],
    ['install.istio.io/v1alpha1', 'IstioOperator'],
  ] as const)
    assert.equal(isForeignKind(kind, apiVersion), true, `${kind} ${apiVersion}`);
  for (const [apiVersion, kind] of [
    ['trysail.dev/v1', 'Service'],
    ['trysail.dv/v1', 'Service'],
    ['networking.istio.io/v1', 'VirtualServices'],
    ['networking.istoi.io/v1', 'Whatever'],
    ['networking.istio/v1', 'VirtualService'],
    ['networking.k8s.io/v1', 'VirtualService'],
    ['v1', 'VirtualService'],
    ['security.istio.io/v1', 'AuthorizationPolicy'],
    ['rbac.istio.io/v1alpha1', 'ServiceRole'],
  ] as const)
    assert.equal(isForeignKind(kind, apiVersion), false, `${kind} ${apiVersion}`);
});

test('what has lost its kind or apiVersion alone is still meant to be a resource', () => {
  assert.equal(sortOf({ kind: 'VirtualService', metadata: {}, spec: {} }), 'resource');
  assert.equal(sortOf({ kind: 'VirtualService' }), 'resource');
  assert.equal(sortOf({ apiVersion: 'networking.istio.io/v1' }), 'resource');
  assert.equal(sortOf({ metadata: { name: 'a' }, spec: {} }), 'resource');
  assert.equal(sortOf({ apiVersion: 'v2', name: 'web' }), 'other');
  assert.equal(sortOf([{ op: 'replace' }]), 'other');
  assert.equal(sortOf({ kind: 'module' }), 'other');
});

const RULE = 'apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: a }\nspec: { host: a }\n';
const deployment = (name: string): string => `apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: ${name} }\n`;
const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\n';

test('a mixed folder: what is not ours is told once, by kind, and the rest is read', () => {
  const passedOver = collectPassedOver(['charts/web']);
  const list = { apiVersion: 'v1', kind: 'List', items: [{ apiVersion: 'v1', kind: 'Secret' }] };
  const { destinationRules, diagnostics } = parseResources(
    [
      { file: 'a.yaml', text: [deployment('a'), RULE, SERVICE, deployment('b')].join('---\n') },
      { file: 'list.json', text: JSON.stringify(list) },
      { file: 'package.json', text: '{"kind":"module"}' },
    ],
    passedOver.skip,
  );
  assert.equal(destinationRules.length, 1);
  assert.deepEqual(diagnostics, []);
  const told = passedOver.diagnostics();
  assert.deepEqual(
    told.map(({ code, severity }) => `${code} ${severity}`),
    ['TRY0009 info', 'TRY0009 info', 'TRY0009 info'],
  );
  assert.match(
    told[0]?.message ?? '',
    /^4 documents are passed over.*: Deployment \(2\), Secret \(1\), Service \(1\)$/,
  );
  assert.match(told[0]?.remedy ?? '', /Service of trysail\.dev\/v1/);
  assert.match(told[1]?.message ?? '', /package\.json$/);
  assert.match(told[2]?.message ?? '', /charts\/web$/);
  refuseNothing(['.'], passedOver);
});

test('of very many kinds the most frequent are named', () => {
  const passedOver = collectPassedOver();
  for (let i = 0; i < 20; i += 1) passedOver.skip({ apiVersion: 'a.example.com/v1', kind: `K${i}` }, { file: 'a' });
  assert.match(passedOver.diagnostics()[0]?.message ?? '', /^20 documents .* and 12 more kinds$/);
});

test('a file that is named itself is meant: what is no resource in it is a fault', () => {
  const read = (named?: true): readonly string[] => {
    const passedOver = collectPassedOver();
    const file = { file: 'values.yaml', text: 'replicas: 1\n', ...(named && { named }) };
    return parseResources([file], passedOver.skip).diagnostics.map(({ code }) => code);
  };
  assert.deepEqual(read(), []);
  assert.ok(read(true).includes('IST0106'));
});

test('where everything was passed over there is nothing to judge', () => {
  const passedOver = collectPassedOver();
  parseResources([{ file: 'a.yaml', text: deployment('a') }], passedOver.skip);
  assert.throws(() => refuseNothing(['k8s'], passedOver), {
    code: 'RESOURCES_UNREADABLE',
    message: /^there are no resources in k8s: 1 document is passed over, .*: Deployment \(1\)$/,
  });
});

test('a List without items is nothing to judge either', () => {
  const passedOver = collectPassedOver();
  parseResources([{ file: 'a.yaml', text: 'apiVersion: v1\nkind: List\nitems: []\n' }], passedOver.skip);
  assert.throws(() => refuseNothing(['a.yaml'], passedOver), { message: 'there are no resources in a.yaml' });
});

test('where nothing is passed over, a Service of Kubernetes does not take the name of ours', () => {
  const ours = 'apiVersion: trysail.dev/v1\nkind: Service\nmetadata: { name: a }\nspec: { ports: [{ number: 80 }] }\n';
  const { serviceRecords, diagnostics } = parseResources([
    { file: '1.yaml', text: SERVICE },
    { file: '2.yaml', text: ours },
  ]);
  assert.equal(serviceRecords.length, 1);
  assert.deepEqual(
    diagnostics.map(({ code, source }) => `${code} ${source?.file ?? ''}`),
    ['TRY0002 1.yaml'],
  );
});

test('a kind of ours without its group is no kind of Kubernetes', () => {
  const { diagnostics } = parseResources([{ file: 'a.yaml', text: RULE.replace('networking.istio.io/', '') }]);
  assert.match(diagnostics[0]?.message ?? '', /^"v1" is not a version of DestinationRule /);
});
