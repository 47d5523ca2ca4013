import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostProblem, isIpAddress, isToken } from './field-types.ts';

const hosts: readonly (readonly [string, string | undefined])[] = [
  ['reviews', undefined],
  ['reviews.default.mesh', undefined],
  ['reviews.default.mesh.', undefined],
  ['*.example.com', undefined],
  ['*', undefined],
  ['10.0.0.1', undefined],
  ['fd00::1', undefined],
  ['shop--web.service.consul', undefined],
  ['', 'is empty'],
  ['a.*.b', 'has "*" elsewhere than as its whole first label'],
  ['*a.b', 'has "*" elsewhere than as its whole first label'],
  ['a..b', 'has "" for a label'],
  ['-a.b', 'has "-a" for a label'],
  ['a b', 'has "a b" for a label'],
  ['a|b', 'has "a|b" for a label'],
  ['host:80', 'has a port or a scheme'],
  ['cafe:80', 'has a port or a scheme'],
  ['10.0.0.1:80', 'has a port or a scheme'],
  ['https://a.b', 'has a port or a scheme'],
  [`${'a'.repeat(64)}.b`, `has "${'a'.repeat(64)}" for a label`],
  [`${'a.'.repeat(127)}b`, 'is longer than 253 characters'],
];

for (const [host, problem] of hosts)
  test(`the host "${host.slice(0, 30)}" ${problem?.slice(0, 50) ?? 'is one'}`, () =>
    assert.equal(hostProblem(host), problem));

test('an IP address is one that Envoy can dial from anywhere', () => {
  for (const address of ['10.0.0.1', '::1', '::ffff:10.0.0.1']) assert.ok(isIpAddress(address), address);
  for (const address of ['', 'localhost', '10.0.0', '10.0.0.256', 'fe80::1%eth0', ' 10.0.0.1'])
    assert.ok(!isIpAddress(address), address);
});

test('a token is what RFC 9110 allows', () => {
  for (const name of ['end-user', 'X_Y', "!#$%&'*+.^_`|~"]) assert.ok(isToken(name), name);
  for (const name of ['', 'a b', 'a:b', 'ü', 'a\n', '"a"']) assert.ok(!isToken(name), name);
});
