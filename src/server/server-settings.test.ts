import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { parseRoles, parseServerSettings } from './server-settings.ts';

const parse = (text: string) => parseServerSettings(text, 'server.yaml', '/etc/trysail');

test('parseServerSettings() fills in what is not said', () => {
  assert.deepEqual(parse('ca: { dir: ca }').ca, {
    dir: '/etc/trysail/ca',
    listen: '0.0.0.0:15012',
    names: [hostname(), 'localhost', '127.0.0.1'],
    workloadLifetimeMs: 86_400_000,
    hostLifetimeMs: 30 * 86_400_000,
    reEnrolGraceMs: 30 * 86_400_000,
    meshConfigFile: undefined,
    fleetRootFile: undefined,
  });
  assert.deepEqual(parse('ca: { dir: /x, listen: "[2001:db8::1]:1" }').ca?.names[0], '2001:db8::1');
  assert.deepEqual(parse('ca: { dir: /x, names: [ca.example] }').ca?.names, ['ca.example']);
  assert.equal(parse('ca: { dir: /x, reEnrolGrace: 0s }').ca?.reEnrolGraceMs, 0);
  assert.equal(parse('ca: { dir: /x, reEnrolGrace: 48h }').ca?.reEnrolGraceMs, 48 * 3_600_000);
  assert.equal(parse('ca: { dir: /x, meshConfig: mesh.yaml }').ca?.meshConfigFile, '/etc/trysail/mesh.yaml');
  assert.equal(parse('ca: { dir: /x, fleetRoot: root.pem }').ca?.fleetRootFile, '/etc/trysail/root.pem');
  assert.equal(parse('log: { level: debug }').log.level, 'debug');
});

test('parseServerSettings() names line, key and remedy of each mistake', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['ca:\n  dir: x\n  listne: x', /server\.yaml:3: ca\.listne: unknown key "listne"\. Did you mean "listen"\?/],
    [
      'ca:\n  dir: x\n  listen: 15012',
      /^server\.yaml:3: ca\.listen: 15012 \(a number\) is not a string\. Put it in quotes\.$/,
    ],
    [
      'ca:\n  dir: x\n  listen: nowhere',
      /^server\.yaml:3: ca\.listen: "nowhere" is not an address and a port\. Write it like 0\.0\.0\.0:15012\.$/,
    ],
    ['ca:\n  dir: x\n  listen: "0.0.0.0:70000"', /ca\.listen: "0\.0\.0\.0:70000" is not an address and a port/],
    ['ca: x', /^server\.yaml:1: ca: "x" \(a string\) is not a mapping\. Write a mapping\.$/],
    ['ca: {dir: ""}', /ca\.dir: "" is not the folder that "trysail ca init" made\. Write its path/],
    ['ca: {}', /^server\.yaml:1: ca\.dir: "dir" is missing\. Add it, as a string\.$/],
    ['log: {level: infos}', /log\.level: "infos" is not one of the values\. Did you mean "info"\? Use one of: debug,/],
    [`ca: {dir: x, names: [${Array(51).fill('a').join()}]}`, /ca\.names: has 51 names\. Keep 50 at most\./],
    [
      'ca:\n  dir: x\n  workloadCertificateLifetime: 1y',
      /ca\.workloadCertificateLifetime: "1y" is not a duration from 1m to 2160h\. Write it like 24h\./,
    ],
    ['ca:\n  dir: x\n  workloadCertificateLifetime: 9000h', /"9000h" is not a duration/],
    [
      'ca:\n  dir: x\n  reEnrolGrace: never',
      /server\.yaml:3: ca\.reEnrolGrace: "never" is not a duration from 0s to 8784h/,
    ],
    ['ca:\n  dir: x\n  names: ["https://x"]', /ca\.names\[0\]: "https:\/\/x" is not a DNS name or an IP address/],
    ['ca: {', /server\.yaml:1: /],
    ['', /^server\.yaml:1: the file holds no YAML document\./],
    ['ca: { dir: x }\n---\nca: { dir: y }', /^server\.yaml:3: the file holds several YAML documents\. Keep one\./],
  ];
  for (const [text, message] of cases)
    assert.throws(() => parse(text), { code: 'CONFIGURATION_INVALID', message }, text);
});

test('parseRoles() knows the roles that there are', () => {
  assert.deepEqual(parseRoles('ca'), ['ca']);
  assert.throws(() => parseRoles('ca,registrar'), { code: 'ROLE_UNKNOWN', message: /"registrar" is not a role/ });
  assert.throws(() => parseRoles(''), { code: 'ROLE_UNKNOWN' });
});
