/**
 * The operators of Envoy's access log, 1.40: one that it does not know, or with parameters that it does not take, makes it
 * refuse every listener. https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
 */
import { isToken } from './field-types.ts';

/** What may stand behind an operator's name. */
interface Form {
  /** Whether it takes what is given in parentheses; undefined: nothing was given. */
  readonly takes: (parameter: string | undefined) => boolean;
  /** Whether `:` and a greatest length may follow. */
  readonly cut: boolean;
  /** How it is written. */
  readonly usage: string;
}

const ALONE = `ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
CUSTOM_FLAGS DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID
DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_PORT
DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS
DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN
DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT
DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256
DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1
DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256
DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT
DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP
DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED
DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME LOCAL_REPLY_BODY PROTOCOL
REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS
RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME
ROUTE_RESOLUTION_COUNT ROUTE_RESOLUTION_TIME_US SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID
UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED
UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT
UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN
UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT
UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION
UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME`;
const HEADERS = 'REQ RESP TRAILER REQUEST_HEADER RESPONSE_HEADER RESPONSE_TRAILER';
const TIMES =
  'START_TIME START_TIME_LOCAL EMIT_TIME EMIT_TIME_LOCAL DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_CERT_V_END';
const ADDRESSES =
  'DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT';

function isHeaderName(name: string): boolean {
  return isToken(name.startsWith(':') ? name.slice(1) : name);
}

function takesHeader(parameter = ''): boolean {
  const names = parameter.split('?');
  return names.length <= 2 && names.every(isHeaderName);
}

function pattern(form: RegExp, isOptional: boolean): Form['takes'] {
  return (parameter) => (parameter === undefined ? isOptional : form.test(parameter));
}

const STATE = { takes: pattern(/^[^:]+(?::(?:PLAIN|TYPED|FIELD:[^:]+))?$/, false), cut: true };
const SOURCE = '(?::(?:ORIG|PATH|ORIG_OR_PATH))?';

const SPECIAL: Readonly<Record<string, Form>> = {
  DYNAMIC_METADATA: { takes: pattern(/^[^:]/, false), cut: true, usage: '(NAMESPACE:KEY)' },
  CLUSTER_METADATA: { takes: pattern(/^[^:]/, false), cut: false, usage: '(NAMESPACE:KEY)' },
  UPSTREAM_METADATA: { takes: pattern(/^[^:]/, false), cut: false, usage: '(NAMESPACE:KEY)' },
  METADATA: {
    takes: pattern(/^(?:DYNAMIC|CLUSTER|ROUTE|UPSTREAM_HOST|LISTENER|LISTENER_FILTER_CHAIN|VIRTUAL_HOST):[^:]/, false),
    cut: true,
    usage: '(KIND:NAMESPACE:KEY)',
  },
  FILTER_STATE: { ...STATE, usage: '(KEY:PLAIN)' },
  UPSTREAM_FILTER_STATE: { ...STATE, usage: '(KEY:PLAIN)' },
  ENVIRONMENT: { takes: pattern(/^[^=]+$/, false), cut: true, usage: '(NAME)' },
  QUERY_PARAM: { takes: pattern(/^.+$/, false), cut: true, usage: '(NAME)' },
  QUERY_PARAMS: { takes: pattern(/^(?:ORIG|DECODED)$/, true), cut: true, usage: ' or (DECODED)' },
  PATH: { takes: pattern(new RegExp(`^(?:WQ|NQ)${SOURCE}$`), true), cut: true, usage: ' or (NQ)' },
  GRPC_STATUS: { takes: pattern(/^(?:CAMEL_STRING|SNAKE_STRING|NUMBER)$/, true), cut: false, usage: ' or (NUMBER)' },
  REQUESTED_SERVER_NAME: {
    takes: pattern(/^(?:SNI_ONLY|SNI_FIRST|HOST_FIRST)$/, true),
    cut: false,
    usage: ' or (SNI_FIRST)',
  },
  RESPONSE_CODE_DETAILS: { takes: pattern(/^ALLOW_WHITESPACES$/, true), cut: false, usage: ' or (ALLOW_WHITESPACES)' },
  COMMON_DURATION: {
    takes: pattern(/^[A-Z0-9_]+:[A-Z0-9_]+(?::(?:ms|us|ns))?$/, false),
    cut: false,
    usage: '(DS_RX_BEG:DS_TX_END:ms)',
  },
  XFCC_VALUE: { takes: pattern(/^(?:uri|dns|by|hash|cert|chain|subject)$/, false), cut: true, usage: '(uri)' },
};

function forms(names: string, form: Form): readonly (readonly [string, Form])[] {
  return names.split(/\s+/).map((name) => [name, form]);
}

const OPERATORS: ReadonlyMap<string, Form> = new Map([
  ...forms(ALONE, { takes: (parameter) => parameter === undefined, cut: false, usage: '' }),
  ...forms(HEADERS, { takes: takesHeader, cut: true, usage: '(HEADER) or (HEADER?OTHER)' }),
  // Envoy refuses what would end the line.
  ...forms(TIMES, { takes: pattern(/^(?:[^%\p{Cc}]|%[^n\p{Cc}])*$/u, true), cut: false, usage: ' or (%Y-%m-%d)' }),
  ...forms(ADDRESSES, { takes: pattern(/^\d{1,3}$/, true), cut: false, usage: ' or (24)' }),
  ...Object.entries(SPECIAL),
]);

/** Names of all operators. */
export const ACCESS_LOG_OPERATORS: readonly string[] = [...OPERATORS.keys()].toSorted();

/**
 * Why Envoy would not take an operator; undefined where it does.
 * @param parameter what stands in parentheses
 * @param cut whether a length is given
 */
export function operatorProblem(name: string, parameter: string | undefined, cut: boolean): string | undefined {
  const form = OPERATORS.get(name);
  if (form === undefined) return `%${name}% is no operator of Envoy's access log that is supported here`;
  if (!form.takes(parameter)) return `%${name}% is written %${name}${form.usage.replace(' or ', `% or %${name}`)}%`;
  return cut && !form.cut ? `%${name}% takes no length` : undefined;
}
