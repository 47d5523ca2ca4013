import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPath } from '../lib/yaml-document.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { located, parsePath } from './located.ts';

test('parsePath() reads what formatPath() writes', () => {
  for (const path of [
    ['spec', 'http', 0, 'route', 12, 'destination'],
    ['spec', 'labels', 'app.kubernetes.io/name', 'a "b" \\ c', 3],
  ])
    assert.deepEqual(parsePath(formatPath(path)), path);
});

const TEXT = `apiVersion: v1
kind: A
---
kind: B
spec:
  hosts:
  - a
  http:
  - route:
    - destination:
        host: a
---
kind: List
items:
- kind: C
  spec:
    host: a
- kind: D
  spec: { host: a,
    subsets: [] }
`;

test('a finding is told at the line of its path, or of the nearest part that is written', () => {
  const line = (at: number, path?: string): number | undefined => {
    const finding: Diagnostic = {
      code: 'IST0101',
      severity: 'error',
      object: 'B default/b',
      source: { file: 'a.yaml', line: at },
      message: 'x',
      ...(path !== undefined && { path }),
    };
    return located([finding], [{ file: 'a.yaml', text: TEXT }])[0]?.source?.line;
  };
  assert.equal(line(4, 'spec.hosts[0]'), 7);
  assert.equal(line(4, 'spec.http[0].route[0].destination.host'), 11);
  assert.equal(line(4, 'spec.http[0].mirrors[0].host'), 9);
  assert.equal(line(9, 'spec.http[0].route[0].destination.subset'), 10);
  assert.equal(line(11, 'spec.hosts'), 11, 'what is known to be further down stays there');
  assert.equal(line(15, 'spec.host'), 17);
  assert.equal(line(18, 'spec.subsets'), 20);
  assert.equal(line(4), 4);
  assert.equal(line(15, 'items[0].spec.host'), 15);
});

test('findings of other files, and of none, stay as they are', () => {
  const general: Diagnostic = { code: 'TRY0009', severity: 'info', message: 'x' };
  const other: Diagnostic = { ...general, object: 'a', path: 'spec', source: { file: 'b.yaml', line: 1 } };
  assert.deepEqual(located([general, other], [{ file: 'a.yaml', text: TEXT }]), [general, other]);
});
