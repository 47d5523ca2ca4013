import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary } from '@bufbuild/protobuf';
import { FileAccessLogSchema } from '../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import type { MeshConfig } from '../../model/mesh-config.ts';
import { accessLoggers, accessLogOf, listenerLoggers } from './access-log.ts';

type LogConfig = Pick<MeshConfig, 'accessLogFormat' | 'accessLogEncoding' | 'disableEnvoyListenerLog'>;

/** The format that Envoy gets. */
function formatOf(config: LogConfig) {
  const [logger] = accessLoggers(accessLogOf({ accessLogFile: '/a', ...config }));
  assert.ok(logger?.configType?.case === 'typedConfig');
  const { accessLogFormat } = fromBinary(FileAccessLogSchema, logger.configType.value.value ?? new Uint8Array());
  assert.ok(accessLogFormat.case === 'logFormat');
  const { format } = accessLogFormat.value;
  if (format.case === 'jsonFormat') return format.value;
  assert.ok(format.case === 'textFormatSource' && format.value.specifier.case === 'inlineString');
  return format.value.specifier.value;
}

test('a line ends once, whether its format says so or not', () => {
  assert.equal(formatOf({ accessLogFormat: { text: 'a' } }), 'a\n');
  assert.equal(formatOf({ accessLogFormat: { text: 'a\n' } }), 'a\n');
});

test("what is no format in the encoding that holds is passed over: Istio's holds", () => {
  const fields = formatOf({ accessLogEncoding: 'JSON', accessLogFormat: { text: 'a' } });
  assert.ok(typeof fields === 'object' && fields['authority'] === '%REQ(:AUTHORITY)%');
  const line = formatOf({ accessLogEncoding: 'TEXT', accessLogFormat: { json: { a: 'b' } } });
  assert.ok(typeof line === 'string' && line.startsWith('[%START_TIME%] "%REQ(:METHOD)%'));
});

test('one configuration has one log, or none', () => {
  const config = { accessLogFile: '/a' };
  assert.equal(accessLogOf(config), accessLogOf(config));
  assert.equal(accessLogOf({ accessLogFile: undefined }), undefined);
  assert.deepEqual(accessLoggers(undefined), []);
});

test('listeners have one of their own unless it is turned off', () => {
  assert.equal(listenerLoggers(accessLogOf({ accessLogFile: '/a' })).length, 1);
  assert.deepEqual(listenerLoggers(accessLogOf({ accessLogFile: '/a', disableEnvoyListenerLog: true })), []);
  assert.deepEqual(listenerLoggers(undefined), []);
});
