/** Envoy's access log as a text file, in Istio's default format. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AccessLogSchema } from '../../gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { pack } from '../messages.ts';

const FORMAT = [
  '[%START_TIME%]',
  '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"',
  '%RESPONSE_CODE%',
  '%RESPONSE_FLAGS%',
  '%RESPONSE_CODE_DETAILS%',
  '%CONNECTION_TERMINATION_DETAILS%',
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"',
  '%BYTES_RECEIVED%',
  '%BYTES_SENT%',
  '%DURATION%',
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  '"%REQ(X-FORWARDED-FOR)%"',
  '"%REQ(USER-AGENT)%"',
  '"%REQ(X-REQUEST-ID)%"',
  '"%REQ(:AUTHORITY)%"',
  '"%UPSTREAM_HOST%"',
  '%UPSTREAM_CLUSTER_RAW%',
  '%UPSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_REMOTE_ADDRESS%',
  '%REQUESTED_SERVER_NAME%',
  '%ROUTE_NAME%',
].join(' ');

const FORMAT_STRING = {
  format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: `${FORMAT}\n` } } },
} as const;

/**
 * Standard output and error have loggers of their own: opening `/dev/stdout` fails where it is a socket, as it is for a
 * child of Node, and Envoy then refuses the listener.
 * @param path a file, `/dev/stdout`, `/dev/stderr`, or undefined for no log
 */
export function accessLog(path: string | undefined): MessageInitShape<typeof AccessLogSchema>[] {
  const accessLogFormat = { case: 'logFormat', value: FORMAT_STRING } as const;
  switch (path) {
    case undefined:
      return [];
    case '/dev/stdout':
      return [
        {
          name: 'envoy.access_loggers.stdout',
          configType: { case: 'typedConfig', value: pack(StdoutAccessLogSchema, { accessLogFormat }) },
        },
      ];
    case '/dev/stderr':
      return [
        {
          name: 'envoy.access_loggers.stderr',
          configType: { case: 'typedConfig', value: pack(StderrAccessLogSchema, { accessLogFormat }) },
        },
      ];
    default:
      return [
        {
          name: 'envoy.access_loggers.file',
          configType: { case: 'typedConfig', value: pack(FileAccessLogSchema, { path, accessLogFormat }) },
        },
      ];
  }
}
