import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from '../../src/model/host.ts';
import type { Service } from '../../src/model/service.ts';
import { egressReport } from '../../src/translate/egress/egress-report.ts';
import { host, mesh, service, upstream } from './mesh-literals.ts';

function external(name: string, rest: Partial<Service> = {}): Service {
  return service(name, 'TCP', { consulName: undefined, tls: 'plain', identities: [], external: true, ...rest });
}

function report(services: readonly Service[], rest: Partial<Host>): readonly string[] {
  const all = mesh(services.map((one) => [one, []]));
  return egressReport(all, host(rest)).map(({ code, object, message }) => `${code} ${object}: ${message.slice(0, 59)}`);
}

const CALLERS = [{ identity: undefined, namespace: 'default', capturePort: 15001 }];

test('an upstream of what is wherever its caller goes', () => {
  const none = external('a', { resolution: 'ORIGINAL_DST' });
  const upstreams = [upstream('a', 9001)];
  const namedUpstreams = [{ serviceHost: 'a.default.mesh', addresses: ['127.240.0.1'] }];
  assert.deepEqual(
    report([none], { upstreams, namedUpstreams }).map((line) => line.slice(0, 50)),
    ['TRY0430 upstream a.default.mesh at 127.0.0.1:9001:', 'TRY0430 service by name a.default.mesh: resolution'],
  );
  const dynamic = { ...none, resolution: 'DYNAMIC_DNS' } as const;
  assert.deepEqual(report([dynamic], { upstreams }), []);
  assert.equal(report([dynamic], { upstreams: [upstream('a', 9001, { mode: 'observe' })] }).length, 1);
});

test('services whose captured connections look alike', () => {
  const [a, b] = [external('a'), external('b')];
  assert.deepEqual(report([a, b], { callers: CALLERS }), [
    'TRY0431 service b.default.mesh: captured connections to port 9080 go to a.default.mesh, whi',
  ]);
  assert.deepEqual(report([a, b], {}), []);
  assert.deepEqual(report([a, b], { callers: CALLERS.map((one) => ({ ...one, mode: 'observe' })) }), []);
  assert.deepEqual(report([a, { ...b, addresses: ['10.0.0.1'] }], { callers: CALLERS }), []);
  assert.deepEqual(report([a, { ...b, consulName: 'b' }], { callers: CALLERS }), []);
  assert.deepEqual(report([a, { ...b, exportTo: ['shop'] }], { callers: CALLERS }), []);
  const named = [{ serviceHost: b.host, addresses: ['240.240.0.1'] }];
  assert.deepEqual(report([a, b], { callers: CALLERS, namedUpstreams: named }), []);
});

test('services at one address, in any spelling', () => {
  const at = (name: string, address: string): Service => external(name, { addresses: [address] });
  assert.deepEqual(report([at('a', '10.1.0.0/16'), at('b', '10.1.2.3/16')], { callers: CALLERS }), [
    'TRY0431 service b.default.mesh: captured connections to port 9080 of 10.1.2.3/16 go to a.de',
  ]);
  assert.deepEqual(report([at('a', '10.1.0.0/16'), at('b', '10.1.2.0/24')], { callers: CALLERS }), []);
});
