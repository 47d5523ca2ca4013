/** Values of headers that Envoy sets: text with commands such as `%REQ(x-id)%`. */

/** Commands without an argument. https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter */
const PLAIN_COMMANDS = new Set([
  'BYTES_RECEIVED',
  'BYTES_SENT',
  'CONNECTION_ID',
  'DOWNSTREAM_DIRECT_REMOTE_ADDRESS',
  'DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT',
  'DOWNSTREAM_LOCAL_ADDRESS',
  'DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT',
  'DOWNSTREAM_LOCAL_PORT',
  'DOWNSTREAM_LOCAL_SUBJECT',
  'DOWNSTREAM_LOCAL_URI_SAN',
  'DOWNSTREAM_PEER_CERT',
  'DOWNSTREAM_PEER_CERT_V_END',
  'DOWNSTREAM_PEER_CERT_V_START',
  'DOWNSTREAM_PEER_FINGERPRINT_256',
  'DOWNSTREAM_PEER_ISSUER',
  'DOWNSTREAM_PEER_SERIAL',
  'DOWNSTREAM_PEER_SUBJECT',
  'DOWNSTREAM_PEER_URI_SAN',
  'DOWNSTREAM_REMOTE_ADDRESS',
  'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
  'DOWNSTREAM_REMOTE_PORT',
  'DOWNSTREAM_TLS_CIPHER',
  'DOWNSTREAM_TLS_SESSION_ID',
  'DOWNSTREAM_TLS_VERSION',
  'DURATION',
  'HOSTNAME',
  'PROTOCOL',
  'REQUEST_DURATION',
  'REQUESTED_SERVER_NAME',
  'RESPONSE_CODE',
  'RESPONSE_CODE_DETAILS',
  'RESPONSE_DURATION',
  'RESPONSE_FLAGS',
  'RESPONSE_FLAGS_LONG',
  'ROUTE_NAME',
  'START_TIME',
  'STREAM_ID',
  'UPSTREAM_CLUSTER',
  'UPSTREAM_HOST',
  'UPSTREAM_LOCAL_ADDRESS',
  'UPSTREAM_PEER_SUBJECT',
  'UPSTREAM_PEER_URI_SAN',
  'UPSTREAM_PROTOCOL',
  'UPSTREAM_REMOTE_ADDRESS',
  'UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
  'UPSTREAM_REQUEST_ATTEMPT_COUNT',
]);

const HEADER = /^:?[A-Za-z0-9_-]+(?:\?:?[A-Za-z0-9_-]+)?$/;

/** Commands with an argument, and its form. */
const ARGUMENTS: Readonly<Record<string, RegExp>> = {
  REQ: HEADER,
  RESP: HEADER,
  TRAILER: HEADER,
  START_TIME: /^[^%()]*$/,
  DYNAMIC_METADATA: /^[^%()]+$/,
  FILTER_STATE: /^[^%()]+$/,
  ENVIRONMENT: /^[A-Za-z_][A-Za-z0-9_]*$/,
};

const COMMAND = /%(?:%|([A-Z0-9_]+)(?:\(([^()%]*)\))?(?::(\d{1,5}))?%)?/g;

const CONTROL = /[\p{Cc}--\t]/v;

/** Why Envoy would not take `value` for a header; undefined when it would. */
export function headerValueProblem(value: string): string | undefined {
  if (CONTROL.test(value)) return 'has a control character';
  for (const [text, command, argument, length] of value.matchAll(COMMAND)) {
    if (text === '%%') continue;
    if (command === undefined) return 'has a "%" that begins no command; write "%%" for the sign itself';
    const known = argument === undefined ? PLAIN_COMMANDS.has(command) : ARGUMENTS[command]?.test(argument);
    if (known !== true || (length !== undefined && ARGUMENTS[command] !== HEADER))
      return `has ${text}, which is no command of Envoy`;
  }
  return undefined;
}
