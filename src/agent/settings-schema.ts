/**
 * agent.yaml: every setting, defined once. Flags, environment variables, defaults, checks and docs/agent-yaml.md come
 * from here (`settings-list.ts`); what the values mean together is checked in `settings-rules.ts`.
 */
import * as z from 'zod/mini';
import { PATHS } from '../platform/vm/paths.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { defaulted, list, listOf, mapOf, optional, optionalSection, required, section } from './setting-definition.ts';
import {
  ACCOUNT,
  ADDRESS_RANGE,
  BIND_ADDRESS,
  COMMAND,
  CONSUL_ADDRESS,
  DNS_LABEL,
  duration,
  FLAG,
  filePath,
  GRPC_SERVICE,
  HOST_PORT,
  HTTP_PATH,
  INTERFACE,
  IP_ADDRESS,
  LISTEN_ADDRESS,
  LOCALITY,
  oneOf,
  PORT,
  SERVICE_REFERENCE,
  SOCKET_ADDRESS,
  SPIFFE_SEGMENT,
  TEXT,
  UNIT,
  USER,
  wholeNumber,
} from './setting-forms.ts';

const MODE = oneOf('off', 'observe', 'outbound', 'full');
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

const SERVICE = {
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
  labels: mapOf(TEXT, 'Further labels, a map.'),
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

const UPSTREAM = {
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

const GATEWAY = {
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

export const SETTINGS_SCHEMA = z.strictObject({
  host: section('This host.', {
    name: optional(SPIFFE_SEGMENT, 'Its name, unique in the mesh.', "the machine's host name"),
    address: optional(IP_ADDRESS, 'Where peers reach it.', 'the address of the interface of the default route'),
    locality: optional(LOCALITY, 'Where it stands: `region/zone/subzone`.', 'unknown'),
  }),
  mesh: section('What holds for the whole mesh.', {
    config: optional(
      filePath(PATHS.meshConfig),
      'Path of meshconfig.yaml.',
      `\`${PATHS.meshConfig}\` if it exists, else all defaults`,
    ),
    resources: defaulted(
      filePath(PATHS.resources),
      PATHS.resources,
      'Folder of Istio resources and `trysail.dev/v1` records (`*.yaml`).',
    ),
    fleet: section("The fleet's configuration in Consul (docs/fleet.md).", {
      trust: optional(
        filePath(PATHS.fleetRoot),
        "File with the public key of its root: this host takes what the root's publishers sign.",
        `\`${PATHS.fleetRoot}\` if it exists, else no fleet configuration is taken`,
      ),
      namespaces: listOf(
        DNS_LABEL,
        'Namespaces that are followed beside the root namespace and those of `services`, `upstreams` and their destinations.',
      ),
    }),
  }),
  registry: defaulted(
    oneOf('consul', 'files'),
    'consul',
    'Where services are found: Consul, or the ServiceEntries and WorkloadEntries in `mesh.resources` alone.',
  ),
  consul: section("The host's Consul agent.", {
    address: defaulted(
      CONSUL_ADDRESS,
      'http://127.0.0.1:8500',
      'Its HTTP API: `http://`, `https://` or `unix:///path`.',
    ),
    tokenFile: optional(
      filePath('/etc/trysail/consul.token'),
      'File with the ACL token; read anew when it changes.',
      'no token',
    ),
    caFile: optional(
      filePath('/etc/trysail/consul-ca.pem'),
      'File with the authorities (PEM) of an `https` address.',
      "the system's",
    ),
    certFile: optional(filePath('/etc/trysail/consul-client.pem'), 'Client certificate (PEM) for `https`.', 'none'),
    keyFile: optional(filePath('/etc/trysail/consul-client.key'), 'Private key (PEM) of `certFile`.', 'none'),
    maxWatches: defaulted(
      wholeNumber('a number of services', 1, 4096, '64'),
      64,
      'How many services are followed at most, each by one blocking query.',
    ),
  }),
  identity: section("Where the host's certificates come from.", {
    provider: defaulted(
      oneOf('trysail-ca', 'files', 'none'),
      'trysail-ca',
      'A Trysail CA, files that something else renews, or none: plain text only.',
    ),
    persist: defaulted(
      FLAG,
      true,
      'Whether workload keys are kept in `paths.state`, so that the host survives a reboot while the CA is away.',
    ),
    ca: section('For provider `trysail-ca`.', {
      address: optional(HOST_PORT, 'Where the CA listens.', 'the address in the join token'),
      joinTokenFile: optional(
        filePath('/etc/trysail/join.token'),
        'File with the join token; needed until the host has its credential.',
        'the host has joined already',
      ),
    }),
    files: section('For provider `files`; all three are needed, and are read anew when they change.', {
      certificateFile: optional(filePath('/etc/trysail/workload.pem'), 'Certificate chain (PEM).', 'none'),
      keyFile: optional(filePath('/etc/trysail/workload.key'), 'Private key (PEM).', 'none'),
      rootFile: optional(filePath('/etc/trysail/mesh-root.pem'), 'Authorities of the mesh (PEM).', 'none'),
    }),
  }),
  mode: defaulted(
    MODE,
    'full',
    'What the mesh does for the services of this host: `off` registers them as they are; `observe` counts their traffic and changes nothing; `outbound` carries their calls; `full` carries the calls to them as well.',
  ),
  services: list('The services that this host runs.', SERVICE),
  upstreams: list(
    'The services that this host calls: each at a loopback address or Unix socket of its own, or by its name.',
    UPSTREAM,
  ),
  gateways: list('The gateways that this host is: what Envoy listens for, Gateways and VirtualServices say.', GATEWAY),
  callAs: optional(
    ACCOUNT,
    'Whose identity calls carry that cannot be told apart: `<namespace>/<service account>` of one of `services`. For `upstreams` at loopback addresses, and for what `capture` takes from others than the listed services.',
    'the only account of `services`',
  ),
  capture: section('Whose calls are captured by the kernel, so that applications call others as ever.', {
    outbound: defaulted(
      oneOf('none', 'listed', 'host'),
      'none',
      "Whose calls: nobody's, those of every `unit` and `user` of `services`, or the whole host's (others than the listed ones as `callAs`).",
    ),
    exclude: section('What is never captured; ssh, DNS, the metadata address, Consul and the CA never are.', {
      ports: listOf(PORT, 'Destination ports, and ports of captured services.'),
      addresses: listOf(ADDRESS_RANGE, 'Destination addresses.'),
      users: listOf(USER, 'Users of this host whose calls stay as they are.'),
      interfaces: listOf(INTERFACE, 'Interfaces whose traffic stays as it is.'),
    }),
    interfaces: listOf(INTERFACE, 'Interfaces of containers: calls that come in there are captured, as `callAs`.'),
    onProxyFailure: section('What becomes of captured traffic when there is no proxy to take it.', {
      inbound: optional(
        oneOf('deny', 'direct'),
        'Calls to captured services.',
        '`deny` for a service that STRICT applies to, else `direct`',
      ),
      outbound: defaulted(oneOf('direct', 'deny'), 'direct', 'Captured calls.'),
    }),
  }),
  dns: section('Names of the mesh, answered by Envoy.', {
    enabled: optional(FLAG, 'Whether names are answered.', 'true when an upstream is called by its name'),
    listen: defaulted(SOCKET_ADDRESS, `127.0.0.1:${PORTS.dns}`, 'Where Envoy answers, UDP.'),
    addresses: listOf(
      ADDRESS_RANGE,
      'Ranges that services called by name get their addresses from, one of IPv4 and one of IPv6 at most. Loopback ranges need no capture.',
      ['127.240.0.0/16'],
    ),
  }),
  discovery: section('Services that are learnt when they are first called.', {
    onDemand: optional(
      FLAG,
      'Whether services that nobody has declared are learnt at the first look-up of their name, or the first request.',
      'true when names are answered (`dns.enabled`) or `discovery.proxy` is set',
    ),
    keepFor: defaulted(duration(1000, '1s', '1h'), '1h', 'For how long a learnt service that nobody calls is kept.'),
    max: defaulted(
      wholeNumber('a number of services', 1, 4096, '64'),
      64,
      'How many are kept at most; the one that is unused for longest goes.',
    ),
    proxy: optional(
      SOCKET_ADDRESS,
      'Where Envoy takes HTTP for any service, by the Host of each request: for `http_proxy` of applications.',
      'there is no such listener',
    ),
  }),
  envoy: section('The proxy.', {
    launcher: defaulted(
      oneOf('agent', 'systemd'),
      'agent',
      'Who runs Envoy: the agent, which ends it when it is stopped, or a systemd unit of its own, which the agent leaves serving.',
    ),
    runDir: optional(
      filePath(PATHS.envoyRun),
      'Folder of its sockets.',
      `\`paths.run\`; with launcher \`systemd\` \`${PATHS.envoyRun}\``,
    ),
    binary: optional(filePath('/usr/local/bin/envoy'), 'Path of Envoy.', 'found beside the program, then on PATH'),
    concurrency: optional(
      wholeNumber('a number of threads', 1, 1024, '2'),
      'Worker threads. Fewer than Envoy runs with take effect when its unit is restarted: a hot restart keeps them.',
      'the number of cores',
    ),
    healthListener: optional(
      SOCKET_ADDRESS,
      'Where Consul checks that Envoy lives.',
      `\`host.address\` and port ${PORTS.health}`,
    ),
    drainTime: defaulted(duration(0, '0', '45s'), '45s', 'How long a stop waits for open connections at most.'),
    lingerTime: defaulted(
      duration(0, '0', '10s'),
      '10s',
      'How long a port stays open that a service has left (another `port`, `mode` or `capture`), after peers can see the new registration.',
    ),
  }),
  paths: section('Folders of the agent.', {
    state: defaulted(
      filePath(PATHS.state),
      PATHS.state,
      'What must outlive a reboot: credentials, last good configuration.',
    ),
    credentials: defaulted(
      filePath(PATHS.credentials),
      PATHS.credentials,
      'Certificates that resources name by `credentialName`: a folder each, with `tls.crt`, `tls.key`, `ca.crt`, `ca.crl`.',
    ),
    run: defaulted(filePath(PATHS.run), PATHS.run, 'Sockets and what may be lost with a reboot.'),
  }),
  log: section('The log, JSON lines on standard error.', {
    level: defaulted(oneOf('info', 'debug', 'warn', 'error'), 'info', 'From which severity on.'),
  }),
});

/** agent.yaml as written, defaults filled in where they do not depend on the machine. */
export type WrittenSettings = z.output<typeof SETTINGS_SCHEMA>;
