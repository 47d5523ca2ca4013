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
  COMMAND,
  CONSUL_ADDRESS,
  DNS_LABEL,
  duration,
  FLAG,
  filePath,
  GRPC_SERVICE,
  HOST_PORT,
  HTTP_PATH,
  IP_ADDRESS,
  LOCALITY,
  oneOf,
  PORT,
  SERVICE_REFERENCE,
  SOCKET_ADDRESS,
  SPIFFE_SEGMENT,
  TEXT,
  wholeNumber,
} from './setting-forms.ts';

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
  version: optional(TEXT, 'Label `version`, by which subsets select it.', 'no such label'),
  labels: mapOf(TEXT, 'Further labels, a map.'),
  tags: listOf(TEXT, 'Tags in Consul, a list.'),
  weights: section('Weight among the instances of the service, by health.', {
    passing: defaulted(wholeNumber('a weight', 1, 65_535, '1'), 1, 'While all checks pass.'),
    warning: defaulted(wholeNumber('a weight', 0, 65_535, '1'), 1, 'While a check warns.'),
  }),
  port: optional(
    PORT,
    'The port that peers dial: Envoy listens on it at `host.address`.',
    'the service only calls others',
  ),
  protocol: defaulted(
    oneOf('AUTO', 'HTTP', 'HTTP2', 'GRPC', 'TCP'),
    'AUTO',
    'What the port speaks; `AUTO` is detected per connection.',
  ),
  application: optional(SOCKET_ADDRESS, 'Where the application itself listens.', '127.0.0.1 and the `port`'),
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
  port: optional(PORT, "The service's port.", 'its only one'),
  listen: required(SOCKET_ADDRESS, 'The loopback address at which local applications reach it.'),
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
  services: list('The services that this host runs.', SERVICE),
  upstreams: list('The services that this host calls, each at a loopback address of its own.', UPSTREAM),
  callAs: optional(
    ACCOUNT,
    'Whose identity calls through `upstreams` carry: `<namespace>/<service account>` of one of `services`. A loopback listener cannot tell local users apart.',
    'the only account of `services`',
  ),
  envoy: section('The proxy.', {
    binary: optional(filePath('/usr/local/bin/envoy'), 'Path of Envoy.', 'found beside the program, then on PATH'),
    concurrency: optional(wholeNumber('a number of threads', 1, 1024, '2'), 'Worker threads.', 'the number of cores'),
    healthListener: optional(
      SOCKET_ADDRESS,
      'Where Consul checks that Envoy lives.',
      `\`host.address\` and port ${PORTS.health}`,
    ),
    drainTime: defaulted(duration(0, '0', '45s'), '45s', 'How long a stop waits for open connections at most.'),
  }),
  paths: section('Folders of the agent.', {
    state: defaulted(
      filePath(PATHS.state),
      PATHS.state,
      'What must outlive a reboot: credentials, last good configuration.',
    ),
    run: defaulted(filePath(PATHS.run), PATHS.run, 'Sockets and what may be lost with a reboot.'),
  }),
  log: section('The log, JSON lines on standard error.', {
    level: defaulted(oneOf('info', 'debug', 'warn', 'error'), 'info', 'From which severity on.'),
  }),
});

/** agent.yaml as written, defaults filled in where they do not depend on the machine. */
export type WrittenSettings = z.output<typeof SETTINGS_SCHEMA>;
