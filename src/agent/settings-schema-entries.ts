/** agent.yaml: what one service, one upstream and one gateway of this host can say. */
import { BIND_ADDRESS, LISTEN_ADDRESS, SOCKET_ADDRESS } from './address-forms.ts';
import { defaulted, listOf, mapOf, optional, optionalSection, required, section } from './setting-definition.ts';
import {
  ACCOUNT,
  COMMAND,
  DNS_LABEL,
  duration,
  FLAG,
  GRPC_SERVICE,
  HTTP_PATH,
  oneOf,
  PORT,
  SERVICE_REFERENCE,
  SPIFFE_SEGMENT,
  TEXT,
  UNIT,
  USER,
  wholeNumber,
} from './setting-forms.ts';

/** How far the mesh goes, for a service or the host. */
export const MODE = oneOf('off', 'observe', 'outbound', 'full');
const SECOND = duration(1000, '1s', '10s');

/** A service's health check: exactly one of `http`, `tcp`, `grpc`, `command` and `ttl`. */
const CHECK = optionalSection(
  'How the application is checked: exactly one of `http`, `tcp`, `grpc`, `command`, `ttl`. Absent: `tcp: true` for a service with a port, none otherwise.',
  {
    http: optional(HTTP_PATH, 'Consul asks for this path of `application`; 2xx passes, 429 warns.', 'not used'),
    tcp: optional(FLAG, 'Consul connects to `application`.', 'not used'),
    grpc: optional(GRPC_SERVICE, 'Consul asks the gRPC health service of `application` for this service.', 'not used'),
    command: optional(COMMAND, 'The agent runs this program: exit code 0 passes, 1 warns.', 'not used'),
    ttl: optional(SECOND, 'The application reports to Consul itself, at least this often.', 'not used'),
    interval: optional(SECOND, 'Time between two checks; not with `ttl`.', '`10s`'),
    timeout: optional(duration(1, '1ms', '2s'), 'How long one check may take; not with `ttl`.', '`2s`'),
  },
);

/** An entry of `services`. */
export const SERVICE = {
  name: required(DNS_LABEL, 'Name of the service that this host runs an instance of.'),
  namespace: defaulted(DNS_LABEL, 'default', 'Its namespace.'),
  serviceAccount: optional(
    SPIFFE_SEGMENT,
    'Account of its identity, `spiffe://…/ns/<namespace>/sa/<account>`.',
    'the name',
  ),
  workloadGroup: optional(
    DNS_LABEL,
    'A WorkloadGroup of its namespace: labels, weight and check that are not set here come from it.',
    'none',
  ),
  version: optional(TEXT, 'Label `version`, by which subsets select it.', 'no such label'),
  labels: mapOf(TEXT, 'Further labels, by which selectors find it, a map; `app: <name>` is given.'),
  tags: listOf(TEXT, 'Tags in Consul, a list.'),
  weights: section('Weight among the instances of the service, by health.', {
    passing: defaulted(wholeNumber('a weight', 1, 65_535, '1'), 1, 'While all checks pass.'),
    warning: defaulted(wholeNumber('a weight', 0, 65_535, '1'), 1, 'While a check warns.'),
  }),
  mode: optional(MODE, 'What the mesh does for this service; see `mode`.', '`mode` of the host'),
  port: optional(
    PORT,
    'The port that peers dial: Envoy listens on it at `host.address`, unless `capture` leaves it to the application.',
    'the service only calls others',
  ),
  protocol: defaulted(
    oneOf('AUTO', 'HTTP', 'HTTP2', 'GRPC', 'TCP'),
    'AUTO',
    'What the port speaks; `AUTO` is detected per connection.',
  ),
  application: optional(
    SOCKET_ADDRESS,
    'Where the application itself listens. In modes `off` and `outbound` peers dial it: no loopback address then.',
    'the `port`, at 127.0.0.1; with `capture` and in modes `off` and `outbound` at `host.address`',
  ),
  capture: defaulted(
    oneOf('none', 'redirect', 'tproxy'),
    'none',
    'Whether connections to `port` are captured, while the application itself listens on it, unchanged. With `tproxy` the application sees the address of its caller.',
  ),
  unit: optional(
    UNIT,
    "The systemd unit whose calls are this service's; not with `user`. At shutdown it ends after this host has left the traffic.",
    'its calls cannot be told from others',
  ),
  user: optional(USER, "The user of this host whose calls are this service's; not with `unit`.", 'as for `unit`'),
  check: CHECK,
  deregisterCriticalServiceAfter: defaulted(
    duration(60_000, '1m', '72h'),
    '72h',
    'Consul forgets the instance after it was critical for so long.',
  ),
};

/** An entry of `upstreams`. */
export const UPSTREAM = {
  service: required(
    SERVICE_REFERENCE,
    'The service to call: a short name (in the namespace of `callAs`), a host name of the mesh or of a ServiceEntry, or `{name, namespace}`.',
  ),
  port: optional(PORT, "The service's port, at `listen`.", 'its only one'),
  listen: optional(
    LISTEN_ADDRESS,
    'Where local applications reach it: a loopback address, or `unix:` and the path of a socket; whoever may enter its folder may call there (docs/capture.md).',
    'it is called by its name, on all its ports (`dns`)',
  ),
  callAs: optional(
    ACCOUNT,
    'Whose identity calls to `listen` carry: the account of one of `services`.',
    '`callAs` of the host',
  ),
};

/** An entry of `gateways`. */
export const GATEWAY = {
  name: required(DNS_LABEL, 'Name of the gateway, and of its service.'),
  namespace: defaulted(DNS_LABEL, 'default', 'Its namespace.'),
  serviceAccount: optional(
    SPIFFE_SEGMENT,
    'Account of its identity, with which it calls services of the mesh.',
    'the name',
  ),
  labels: mapOf(
    TEXT,
    'Labels that selectors of Gateways look for, a map; `istio: <name>` and `app: <name>` are given.',
  ),
  address: defaulted(BIND_ADDRESS, '0.0.0.0', 'Where it listens for servers without `bind`.'),
  ports: mapOf(
    PORT,
    'Where Envoy listens instead, by the port that a Gateway names, such as `{80: 8080}`: where Envoy may open no privileged ports, with a redirection in front.',
  ),
  trustedProxies: optional(
    wholeNumber('a number of proxies', 0, 16, '1'),
    'How many proxies in front are trusted to have written `x-forwarded-for`.',
    '`defaultConfig.gatewayTopology.numTrustedProxies` of the mesh configuration, else none',
  ),
  proxyProtocol: optional(
    FLAG,
    'Whether a load balancer in front begins every connection with a header of the PROXY protocol; others are closed.',
    'whether `defaultConfig.gatewayTopology` of the mesh configuration has `proxyProtocol`',
  ),
  register: optionalSection('What peers of the mesh find it by in Consul, as an egress gateway needs it.', {
    port: required(PORT, 'The port of a Gateway that they call.'),
    protocol: defaulted(oneOf('HTTP', 'HTTP2', 'GRPC', 'TCP', 'AUTO'), 'HTTP', 'What it speaks.'),
    mutualTls: defaulted(FLAG, true, 'Whether its servers there are of mode ISTIO_MUTUAL.'),
  }),
};
