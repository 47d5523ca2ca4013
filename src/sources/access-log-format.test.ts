import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { buildAccessLogFormat } from './access-log-format.ts';
import { parseMeshConfig } from './mesh-config.ts';

// The same cases each time: a run that fails by chance tells of no change.
fc.configureGlobal({ seed: 20_260_101 });

function problemsOf(text: string, encoding: 'TEXT' | 'JSON' = 'TEXT'): readonly string[] {
  const said: string[] = [];
  buildAccessLogFormat(text, encoding, ['accessLogFormat'], (_path, message, remedy) => {
    said.push(`${message}. ${remedy ?? ''}`);
  });
  return said;
}

for (const text of [
  'plain',
  '100%%',
  '%PROTOCOL%%RESPONSE_CODE%',
  '[%START_TIME(%Y-%m-%dT%H:%M:%S.%3f)%] %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH):100%',
  '%DYNAMIC_METADATA(a:b:c):10% %FILTER_STATE(k:PLAIN):5% %METADATA(ROUTE:a:b)%',
  '%PATH(NQ)% %GRPC_STATUS(NUMBER)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%\nsecond line',
  '{"a": "%REQ(A)%"}',
])
  test(`a line ${JSON.stringify(text)}`, () => assert.deepEqual(problemsOf(text), []));

const bad: readonly (readonly [text: string, said: RegExp])[] = [
  ['100%', /"%" begins with "%" and is no operator. Write %% for the sign itself/],
  ['%RESPONSE_CODE', /"%RESPONSE_CODE" begins/],
  ['%REQ(a)b%', /"%REQ\(a\)b%" begins/],
  ['%response_code%', /begins with "%"/],
  ['%RESPONSE_COD%', /%RESPONSE_COD% is no operator.*Did you mean %RESPONSE_CODE%\?/],
  ['%REQ%', /%REQ% is written %REQ\(HEADER\)% or %REQ\(HEADER\?OTHER\)%/],
  ['%REQ(a?b?c)%', /%REQ% is written/],
  ['%REQ(a b)%', /%REQ% is written/],
  ['%PROTOCOL(x)%', /%PROTOCOL% is written %PROTOCOL%/],
  ['%PROTOCOL:3%', /%PROTOCOL% takes no length/],
  ['%FILTER_STATE(a:WHAT)%', /%FILTER_STATE% is written %FILTER_STATE\(KEY:PLAIN\)%/],
  ['%START_TIME(%n)%', /%START_TIME% is written %START_TIME% or %START_TIME\(%Y-%m-%d\)%/],
  ['%CEL(request.host)%', /%CEL% is no operator of Envoy's access log that is supported here/],
  ['%REQ_WITHOUT_QUERY(:PATH)%', /is no operator.*Write %PATH\(NQ\)%/],
  ['a\u0000b', /has a control character/],
];
for (const [text, said] of bad)
  test(`no line: ${JSON.stringify(text)}`, () => {
    assert.match(problemsOf(text).join('\n'), said);
    assert.match(problemsOf(JSON.stringify({ inner: [{ text }] }), 'JSON').join('\n'), said);
  });

const badJson: readonly (readonly [text: string, said: RegExp])[] = [
  ['{"a": ', /^is not JSON: .*Write a JSON object as a string/],
  ['%PROTOCOL%', /^is not JSON/],
  ['["%PROTOCOL%"]', /^is JSON, but no object/],
  ['null', /^is JSON, but no object/],
  ['{"a": 1e999}', /^has a number that is too large/],
  [`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`, /^is nested more than 8 deep/],
];
for (const [text, said] of badJson)
  test(`no object: ${text.slice(0, 20)}`, () => assert.match(problemsOf(text, 'JSON').join('\n'), said));

test('both readings are kept that Envoy takes, whatever is meant', () => {
  const of = (text: string): object => buildAccessLogFormat(text, 'TEXT', [], () => undefined);
  assert.deepEqual(of('{"a": "%PROTOCOL%", "b": [1, true, null]}'), {
    text: '{"a": "%PROTOCOL%", "b": [1, true, null]}',
    json: { a: '%PROTOCOL%', b: [1, true, null] },
  });
  assert.deepEqual(of('%PROTOCOL%'), { text: '%PROTOCOL%' });
  // What is an operator only once the JSON is read.
  assert.deepEqual(of(String.raw`{"a": "\u0025FOO\u0025"}`), { text: String.raw`{"a": "\u0025FOO\u0025"}` });
  assert.deepEqual(of(''), {});
});

test('of the mesh configuration, with its line', () => {
  const text = 'accessLogEncoding: JSON\naccessLogFormat: \'{"a": "%FOO%"}\'\n';
  const { config, diagnostics } = parseMeshConfig(text, 'm.yaml');
  assert.equal(config, undefined);
  assert.deepEqual(diagnostics.map(formatDiagnostic), [
    "m.yaml:2: error IST0106 MeshConfig accessLogFormat: %FOO% is no operator of Envoy's access log that is supported here. Correct it, or leave it out.",
  ]);
});

test('whatever the text, it is checked', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('%', 'A', '(', ')', ':', '1', '{', '"', '\n', 'REQ') }), (text) => {
      assert.ok(problemsOf(text).every((said) => said !== ''));
      problemsOf(text, 'JSON');
    }),
  );
});
