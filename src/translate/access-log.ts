/** Envoy's access log as a text file, in Istio's default format. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AccessLogSchema } from '../gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import { pack } from './messages.ts';

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

/** @param path a file, `/dev/stdout`, or undefined for no log */
export function accessLog(path: string | undefined): MessageInitShape<typeof AccessLogSchema>[] {
  if (path === undefined) return [];
  const format = {
    format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: `${FORMAT}\n` } } },
  } as const;
  return [
    {
      name: 'envoy.access_loggers.file',
      configType: {
        case: 'typedConfig',
        value: pack(FileAccessLogSchema, { path, accessLogFormat: { case: 'logFormat', value: format } }),
      },
    },
  ];
}
