/**
 * agent.yaml: every setting, defined once, with those of services, upstreams and gateways in `settings-schema-entries.ts`.
 * Flags, environment variables, defaults, checks and docs/agent-yaml.md come from here (`settings-list.ts`); what the
 * values mean together is checked in `settings-rules.ts`.
 */
import * as z from 'zod/mini';
import { PATHS } from '../platform/vm/paths.ts';
import { PORTS } from '../platform/vm/ports.ts';
import { ADDRESS_RANGE, CONSUL_ADDRESS, HOST_PORT, IP_ADDRESS, SOCKET_ADDRESS } from './address-forms.ts';
import { defaulted, list, listOf, optional, section } from './setting-definition.ts';
import {
  ACCOUNT,
  DNS_LABEL,
  duration,
  FLAG,
  filePath,
  INTERFACE,
  LOCALITY,
  oneOf,
  PORT,
  SPIFFE_SEGMENT,
  USER,
  wholeNumber,
} from './setting-forms.ts';
import { GATEWAY, MODE, SERVICE, UPSTREAM } from './settings-schema-entries.ts';

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
