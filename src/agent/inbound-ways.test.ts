import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host, Mode, Workload } from '../model/host.ts';
import { sameWay, servedWorkloads, withFormerCallers, withWorkloads } from './inbound-ways.ts';

function workload(
  service: string,
  port: number | undefined,
  change: { mode?: Mode; capture?: 'redirect' } = {},
): Workload {
  const { mode, capture } = change;
  return {
    namespace: 'default',
    service,
    serviceHost: `${service}.default.mesh`,
    identity: `spiffe://cluster.local/ns/default/sa/${service}` as Workload['identity'],
    labels: {},
    inbound:
      port === undefined
        ? undefined
        : {
            listen: { address: '10.0.0.5', port },
            protocol: 'HTTP',
            application: { address: '127.0.0.1', port: 8080 },
            ...(capture === undefined ? {} : { capture }),
          },
    ...(mode === undefined ? {} : { mode }),
  };
}

const NOBODY: ReadonlySet<string> = new Set();
const FINISHED: ReadonlySet<string> = new Set(['default/a']);

test('what stays the same is served once', () => {
  const a = workload('a', 80);
  assert.deepEqual(servedWorkloads([a], [a], NOBODY), [a]);
});

test('a port that a service has left stays open until all peers know', () => {
  const [old, next] = [workload('a', 80), workload('a', 81)];
  assert.deepEqual(servedWorkloads([old], [next], NOBODY), [next, old]);
  assert.deepEqual(servedWorkloads([old], [next], FINISHED), [next]);
});

test('so does the port of a service that goes, and of one that peers dial itself from now on', () => {
  const old = workload('a', 80);
  const off = workload('a', undefined, { mode: 'off' });
  assert.deepEqual(servedWorkloads([old], [], NOBODY), [old]);
  assert.deepEqual(servedWorkloads([old], [off], NOBODY), [off, old]);
  assert.deepEqual(servedWorkloads([old], [off], FINISHED), [off]);
});

test('on one port, observe becomes full at once and full becomes observe last', () => {
  const [observe, full] = [workload('a', 80, { mode: 'observe' }), workload('a', 80)];
  assert.deepEqual(servedWorkloads([observe], [full], NOBODY), [full]);
  assert.deepEqual(servedWorkloads([full], [observe], NOBODY), [{ ...observe, mode: 'full' }]);
  assert.deepEqual(servedWorkloads([full], [observe], FINISHED), [observe]);
});

test('a port that another service takes over is its own at once', () => {
  const [a, b] = [workload('a', 80), workload('b', 80, { mode: 'observe' })];
  assert.deepEqual(servedWorkloads([a], [b], NOBODY), [b]);
});

test('a captured port and the same port with a listener of Envoy’s are two ways', () => {
  const [bound, captured] = [workload('a', 80), workload('a', 80, { capture: 'redirect' })];
  assert.ok(!sameWay(bound, captured));
  assert.deepEqual(servedWorkloads([bound], [captured], NOBODY), [captured, bound]);
});

test('what is left over of several moves stays, each way once', () => {
  const [first, second, third] = [workload('a', 80), workload('a', 81), workload('a', 82)];
  const between = servedWorkloads([first], [second], NOBODY);
  assert.deepEqual(servedWorkloads(between, [third], NOBODY), [third, second, first]);
  assert.deepEqual(servedWorkloads(between, [first], NOBODY), [first, second]);
});

const HOST: Host = {
  nodeId: 'vm-1',
  nodeCluster: 'a.default',
  locality: { region: '', zone: '', subzone: '' },
  workloads: [],
  upstreams: [],
  callerIdentity: undefined,
  healthListener: { address: '10.0.0.5', port: 15_021 },
};

test('withWorkloads() has the capture port exactly while something is captured', () => {
  const captured = withWorkloads(HOST, [workload('a', 80, { capture: 'redirect' })]);
  assert.equal(captured.inboundCapturePort, 15_006);
  assert.ok(!('inboundCapturePort' in withWorkloads(captured, [workload('a', 80)])));
});

test('withFormerCallers() keeps ports that rules may still lead to, and gives none of them to two', () => {
  const caller = (namespace: string, capturePort: number) => ({ identity: undefined, namespace, capturePort });
  assert.equal(withFormerCallers(HOST, []), HOST);
  assert.deepEqual(withFormerCallers(HOST, [caller('old', 15_001)]).callers, [caller('old', 15_001)]);
  const now = { ...HOST, callers: [caller('new', 15_001)] };
  assert.equal(withFormerCallers(now, [caller('old', 15_001)]), now);
  assert.deepEqual(withFormerCallers(now, [caller('old', 15_101)]).callers, [
    caller('new', 15_001),
    caller('old', 15_101),
  ]);
});
