/** Formats of the access log that are taken are those that the real Envoy takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { MeshConfig } from '../../src/model/mesh-config.ts';
import { buildAccessLogFormat } from '../../src/sources/access-log-format.ts';
import { ACCESS_LOG_OPERATORS } from '../../src/sources/access-log-operators.ts';
import { Translator } from '../../src/translate/translator.ts';
import { tempDir } from '../support/temp-dir.ts';
import { endpoint, host, mesh, service, upstream } from './mesh-literals.ts';
import { refusal } from './refusal.ts';

/** Parameters, one of which each operator takes. */
const PARAMETERS = [
  '',
  ':METHOD',
  'a:PLAIN',
  'a:b:c',
  'X-A?Y',
  '%Y-%m-%dT%H:%M:%S.%3f%z',
  '24',
  'DYNAMIC:a:b',
  'UPSTREAM_HOST:a',
  'NQ',
  'WQ:ORIG_OR_PATH',
  'DECODED',
  'NUMBER',
  'SNI_FIRST',
  'ALLOW_WHITESPACES',
  'DS_RX_BEG:DS_TX_END:ms',
  'subject',
  'a:FIELD:b',
  'HOME',
];

function written(name: string, parameter: string, length: string): string {
  return `%${name}${parameter === '' ? '' : `(${parameter})`}${length}%`;
}

function isTaken(text: string): boolean {
  return buildAccessLogFormat(text, 'TEXT', [], () => undefined).text !== undefined;
}

async function refused(
  t: Parameters<typeof tempDir>[0],
  format: NonNullable<MeshConfig['accessLogFormat']>,
  accessLogEncoding: 'TEXT' | 'JSON',
): Promise<string | undefined> {
  const both = (['HTTP', 'TCP'] as const).map((protocol, i) => {
    const name = protocol.toLowerCase();
    const one = service(name, protocol, { tls: 'plain', identities: [] });
    return { one, upstream: upstream(name, 9001 + i) };
  });
  const world = mesh(both.map(({ one }) => [one, [endpoint('127.0.0.1', 9000)]] as const));
  const config = { ...world.config, accessLogFile: '/dev/stdout', accessLogFormat: format, accessLogEncoding };
  const self = host({ upstreams: both.map((each) => each.upstream), callerIdentity: undefined });
  return refusal(new Translator().translate({ ...world, config }, self), [], await tempDir(t));
}

test('every operator, in each form that is taken', async (t) => {
  const all = ACCESS_LOG_OPERATORS.flatMap((name) =>
    PARAMETERS.flatMap((parameter) => ['', ':5'].map((length) => written(name, parameter, length))),
  ).filter(isTaken);
  for (const name of ACCESS_LOG_OPERATORS)
    assert.ok(
      all.some((one) => one.startsWith(`%${name}`)),
      `no form of ${name} is tried`,
    );
  assert.equal(await refused(t, { text: all.join(' ') }, 'TEXT'), undefined);
  const json = Object.fromEntries(all.map((one, i) => [`f${i}`, i % 2 === 0 ? one : [{ inner: one }]]));
  assert.equal(await refused(t, { json }, 'JSON'), undefined);
});

test('whatever is taken', async (t) => {
  const parameter = fc.oneof(
    fc.constantFrom(...PARAMETERS),
    fc.string({ unit: 'grapheme-ascii', maxLength: 12 }),
    fc.string({ unit: fc.constantFrom('%', ':', '?', 'a', 'Y', 'n', 'PLAIN', '.', '/'), maxLength: 6 }),
  );
  const length = fc.constantFrom('', ':0', ':5', ':9999');
  const operator = fc
    .tuple(fc.constantFrom(...ACCESS_LOG_OPERATORS), parameter, length)
    .map((parts) => written(...parts));
  const anything = fc.oneof(operator, fc.string({ unit: 'grapheme', maxLength: 10 }));
  const taken = fc.sample(anything, { numRuns: 4000, seed: 1 }).filter(isTaken);
  assert.ok(taken.length > 500, `${taken.length} of 4000`);
  assert.equal(await refused(t, { text: taken.join('\n') }, 'TEXT'), undefined);
});

for (const text of ['%NOBODY%', '%REQ(a?b?c)%', '%PROTOCOL:5%', '100%', '%FILTER_STATE(a:WHAT)%', '%START_TIME(%n)%'])
  test(`Envoy would refuse ${text}, which never reaches it`, async (t) => {
    assert.equal(isTaken(text), false);
    assert.notEqual(await refused(t, { text }, 'TEXT'), undefined);
  });
