/** Envoy's access log, in Istio's formats or one that the mesh configuration gives. */
import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { AccessLogFilterSchema, type AccessLogSchema } from '../../gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import type { SubstitutionFormatStringSchema } from '../../gen/envoy/config/core/v3/substitution_format_string_pb.ts';
import { FileAccessLogSchema } from '../../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '../../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import type { AccessLogFields, AccessLogFormat, MeshConfig } from '../../model/mesh-config.ts';
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

const FIELDS: AccessLogFields = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
};

/** Where lines go and what they say. */
export interface AccessLog {
  /** A file, `/dev/stdout` or `/dev/stderr`. */
  readonly file: string;
  /** Undefined: Istio's. */
  readonly format: AccessLogFormat | undefined;
  readonly encoding: 'TEXT' | 'JSON';
  /** Whether it has connections that a listener knows no way for. */
  readonly refused: boolean;
}

type LogConfig = Pick<
  MeshConfig,
  'accessLogFile' | 'accessLogFormat' | 'accessLogEncoding' | 'disableEnvoyListenerLog'
>;

const OF_CONFIG = new WeakMap<LogConfig, AccessLog>();

/** The access log of a mesh; undefined: there is none. Of one configuration it is always the same object. */
export function accessLogOf(config: LogConfig): AccessLog | undefined {
  const { accessLogFile: file, accessLogFormat: format, accessLogEncoding: encoding = 'TEXT' } = config;
  if (file === undefined) return undefined;
  const refused = config.disableEnvoyListenerLog !== true;
  const log = OF_CONFIG.get(config) ?? { file, format, encoding, refused };
  OF_CONFIG.set(config, log);
  return log;
}

/** A format that is none in the encoding that holds is passed over, as Istio does. Each line ends. */
function formatOf({ format, encoding }: AccessLog): MessageInitShape<typeof SubstitutionFormatStringSchema> {
  if (encoding === 'JSON') return { format: { case: 'jsonFormat', value: (format?.json ?? FIELDS) as JsonObject } };
  const line = format?.text ?? FORMAT;
  const inlineString = line.endsWith('\n') ? line : `${line}\n`;
  return {
    format: { case: 'textFormatSource', value: { specifier: { case: 'inlineString', value: inlineString } } },
  };
}

/**
 * Standard output and error have loggers of their own: opening `/dev/stdout` fails where it is a socket, as it is for a
 * child of Node, and Envoy then refuses the listener.
 * @param log undefined: there is none
 */
export function accessLoggers(log: AccessLog | undefined): MessageInitShape<typeof AccessLogSchema>[] {
  if (log === undefined) return [];
  const accessLogFormat = { case: 'logFormat', value: formatOf(log) } as const;
  switch (log.file) {
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
          configType: { case: 'typedConfig', value: pack(FileAccessLogSchema, { path: log.file, accessLogFormat }) },
        },
      ];
  }
}

/** The log of a listener itself: of the connections that no chain takes, as in Istio. All others have theirs. */
export function listenerLoggers(log: AccessLog | undefined): MessageInitShape<typeof AccessLogSchema>[] {
  if (log?.refused !== true) return [];
  const filter = create(AccessLogFilterSchema, {
    filterSpecifier: { case: 'responseFlagFilter', value: { flags: ['NR'] } },
  });
  return accessLoggers(log).map((logger) => ({ ...logger, filter }));
}
