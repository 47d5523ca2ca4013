import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MtlsMode, PeerAuthentication } from '../../model/peer-authentication.ts';
import { mtlsMode } from './peer-authentication.ts';

const WEB = { namespace: 'default', labels: { app: 'web', team: 'shop' } };

function policy(
  namespace: string,
  mode: MtlsMode | undefined,
  selector?: Record<string, string>,
  portModes: readonly (readonly [number, MtlsMode])[] = [],
): PeerAuthentication {
  const source = { file: 'x.yaml', line: 1 };
  const meta = { kind: 'PeerAuthentication', namespace, name: 'x', labels: {}, source, age: 0 };
  return { meta, selector, mode, portModes: new Map(portModes) };
}

const modeOf = (...policies: readonly PeerAuthentication[]): MtlsMode => mtlsMode(policies, WEB, 9080, 'root');

test('without a policy: both are taken', () => {
  assert.equal(modeOf(), 'PERMISSIVE');
});

test('workload before namespace before mesh', () => {
  const mesh = policy('root', 'STRICT');
  const namespace = policy('default', 'DISABLE');
  const workload = policy('default', 'PERMISSIVE', { app: 'web' });
  assert.equal(modeOf(mesh), 'STRICT');
  assert.equal(modeOf(mesh, namespace), 'DISABLE');
  assert.equal(modeOf(mesh, namespace, workload), 'PERMISSIVE');
});

test('a mode that is not set is inherited, one for the port holds before all', () => {
  const mesh = policy('root', 'STRICT');
  assert.equal(modeOf(mesh, policy('default', undefined, { app: 'web' })), 'STRICT');
  assert.equal(modeOf(mesh, policy('default', 'STRICT', { app: 'web' }, [[9080, 'DISABLE']])), 'DISABLE');
  assert.equal(modeOf(mesh, policy('default', undefined, { app: 'web' }, [[1, 'DISABLE']])), 'STRICT');
});

test('policies of others do not count: other namespaces, other workloads, a selector in the root namespace', () => {
  assert.equal(modeOf(policy('payments', 'STRICT')), 'PERMISSIVE');
  assert.equal(modeOf(policy('default', 'STRICT', { app: 'web', team: 'other' })), 'PERMISSIVE');
  assert.equal(modeOf(policy('root', 'STRICT', { app: 'web' })), 'PERMISSIVE');
});

test('the oldest of a level holds', () => {
  assert.equal(modeOf(policy('default', 'STRICT'), policy('default', 'DISABLE')), 'STRICT');
});
