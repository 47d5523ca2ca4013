/** What settings must satisfy together, each on its own being well formed: services, checks, identities, Consul. */
import { nearest } from '../lib/nearest.ts';
import type { Path } from '../lib/yaml-document.ts';
import { MAX_SOCKET_PATH_BYTES, PATHS, sockets } from '../platform/vm/paths.ts';
import { isLoopback, isWildcard } from './address-forms.ts';
import { capturedCallers } from './callers.ts';
import type { Account, AgentSettings, ServiceSettings } from './settings.ts';
import { captureComplaints, modeComplaints, nameComplaints } from './settings-capture-rules.ts';
import { gatewayComplaints } from './settings-gateways.ts';
import { formatSocketAddress, listenerComplaints, upstreamComplaints } from './settings-listeners.ts';
import { type Complaint, RULE } from './settings-place.ts';
import type { WrittenSettings } from './settings-schema.ts';

const KINDS = ['http', 'tcp', 'grpc', 'command', 'ttl'] as const;

function checkComplaints(written: WrittenSettings): readonly Complaint[] {
  return written.services.flatMap(({ name, check, port }, i): Complaint[] => {
    if (check === undefined) return [];
    const path = ['services', i, 'check'];
    const given = KINDS.filter((kind) => check[kind] !== undefined && check[kind] !== false);
    const [kind] = given;
    if (given.length !== 1 || kind === undefined)
      return [
        {
          code: RULE,
          path,
          message:
            given.length === 0
              ? `the check of service ${name} does not say what to check`
              : `the check of service ${name} is ${given.join(' and ')} at once`,
          remedy: `Write exactly one of ${KINDS.join(', ')}.`,
        },
      ];
    if (port === undefined && (kind === 'http' || kind === 'tcp' || kind === 'grpc'))
      return [
        {
          code: RULE,
          path: [...path, kind],
          message: `service ${name} has no port that a ${kind} check could ask`,
          remedy: 'Give the service a port, or check it by command or ttl.',
        },
      ];
    if (kind === 'ttl')
      return (['interval', 'timeout'] as const).flatMap((key) =>
        check[key] === undefined
          ? []
          : [
              {
                code: RULE,
                path: [...path, key],
                message: `a ttl check has no ${key}: the application reports by itself`,
                remedy: `Remove ${key}.`,
              },
            ],
      );
    return [];
  });
}

function serviceComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const seen = new Map<string, number>();
  for (const [i, service] of settings.services.entries()) {
    const id = `${service.namespace}/${service.name}`;
    const earlier = seen.get(id);
    if (earlier === undefined) seen.set(id, i);
    else
      complaints.push({
        code: RULE,
        path: ['services', i, 'name'],
        message: `service ${id} stands here and at services[${earlier}]`,
        remedy: 'A host runs one instance of a service: remove one, or rename it.',
      });
    const { labels, version, port, application } = written.services[i] ?? {};
    if (version !== undefined && labels?.['version'] !== undefined && labels['version'] !== version)
      complaints.push({
        code: RULE,
        path: ['services', i, 'labels', 'version'],
        message: `label version "${labels['version']}" contradicts version "${version}"`,
        remedy: 'Remove the label: version makes it.',
      });
    if (port === undefined && application !== undefined)
      complaints.push({
        code: RULE,
        path: ['services', i, 'application'],
        message: `service ${service.name} has an application address and no port that peers could dial`,
        remedy: 'Add port, or remove application.',
      });
    if (application !== undefined && isWildcard(application.address))
      complaints.push({
        code: RULE,
        path: ['services', i, 'application'],
        message: `${formatSocketAddress(application)} cannot be dialled`,
        remedy: `Write the address that Envoy shall connect to, such as 127.0.0.1:${application.port}.`,
      });
  }
  return complaints;
}

const describeAccount = (account: Account): string => `${account.namespace}/${account.serviceAccount}`;

/** The distinct accounts of the services, sorted. */
function accountsOf(services: readonly Pick<ServiceSettings, 'namespace' | 'serviceAccount'>[]): readonly string[] {
  return [...new Set(services.map(describeAccount))].toSorted();
}

/** The first calls of this host that carry `callAs`, since nothing tells who makes them; undefined: there are none. */
function namelessCalls(settings: AgentSettings): { readonly path: Path; readonly what: string } | undefined {
  const { upstreams, capture } = settings;
  // A service by name is reached through the callers' own ports where calls are captured.
  const captured = capturedCallers(settings).length > 0;
  const upstream = upstreams.findIndex(
    ({ listen, callAs }) => callAs === undefined && (listen !== undefined || !captured),
  );
  const listen = upstreams[upstream]?.listen;
  if (upstream !== -1)
    return {
      path: ['upstreams'],
      what: listen !== undefined && 'path' in listen ? `the socket of upstreams[${upstream}]` : 'a loopback listener',
    };
  if (capture.interfaces.length > 0) return { path: ['capture', 'interfaces'], what: "a container's interface" };
  return capture.outbound === 'host' ? { path: ['capture', 'outbound'], what: "the host's other calls" } : undefined;
}

function identityComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const complain = (path: Path, message: string, remedy: string): number =>
    complaints.push({ code: RULE, path, message, remedy });
  const { identity, callAs } = settings;
  const accounts = accountsOf(settings.services);
  if (written.callAs !== undefined && !accounts.includes(describeAccount(written.callAs))) {
    const text = describeAccount(written.callAs);
    const suggestion = nearest(text, accounts);
    complain(
      ['callAs'],
      `${text} is not an account of a service of this host${accounts.length === 0 ? '' : ` (${accounts.join(', ')})`}`,
      suggestion === undefined ? 'Name the account of one of services.' : `Did you mean "${suggestion}"?`,
    );
  } else if (identity.provider !== 'none' && callAs === undefined) {
    const nameless = namelessCalls(settings);
    if (nameless !== undefined && accounts.length === 0)
      complain(
        nameless.path,
        'this host calls upstreams and has no service whose identity the calls could carry',
        'Add the calling program to services (without a port), or set identity.provider to none for plain text.',
      );
    else if (nameless !== undefined)
      complain(
        nameless.path,
        `${nameless.what} cannot tell which of ${accounts.join(', ')} calls`,
        `Set callAs to one of them, such as callAs: ${accounts[0] ?? ''}`,
      );
  }
  for (const [i, { callAs: own }] of settings.upstreams.entries()) {
    if (own === undefined || accounts.includes(describeAccount(own))) continue;
    const text = describeAccount(own);
    const suggestion = nearest(text, accounts);
    complain(
      ['upstreams', i, 'callAs'],
      `${text} is not an account of a service of this host${accounts.length === 0 ? '' : ` (${accounts.join(', ')})`}`,
      suggestion === undefined ? 'Name the account of one of services.' : `Did you mean "${suggestion}"?`,
    );
  }
  if (identity.provider === 'files') {
    for (const key of ['certificateFile', 'keyFile', 'rootFile'] as const)
      if (written.identity.files[key] === undefined)
        complain(['identity', 'files'], `identity provider "files" needs ${key}`, `Set identity.files.${key}.`);
    const all = accountsOf([...settings.services, ...settings.gateways]);
    if (all.length > 1)
      complain(
        ['identity', 'provider'],
        `one certificate file is one identity, and the services have ${all.length} (${all.join(', ')})`,
        'Give the services one service account, or use provider trysail-ca.',
      );
  } else if (Object.values(written.identity.files).some((file) => file !== undefined)) {
    complain(
      ['identity', 'files'],
      `identity.files is set and the provider is ${identity.provider}`,
      'Set identity.provider to files, or remove identity.files.',
    );
  }
  return complaints;
}

function consulComplaints(settings: AgentSettings): readonly Complaint[] {
  const { address, tokenFile, certFile, keyFile } = settings.consul;
  const complaints: Complaint[] = [];
  for (const key of ['caFile', 'certFile', 'keyFile'] as const)
    if (settings.consul[key] !== undefined && !address.startsWith('https://'))
      complaints.push({
        code: RULE,
        path: ['consul', key],
        message: `${key} has no effect on ${address}`,
        remedy: `Write an https:// address, or remove ${key}.`,
      });
  if ((certFile === undefined) !== (keyFile === undefined))
    complaints.push({
      code: RULE,
      path: ['consul', certFile === undefined ? 'keyFile' : 'certFile'],
      message: 'a client certificate needs both certFile and keyFile',
      remedy: `Set consul.${certFile === undefined ? 'certFile' : 'keyFile'} too.`,
    });
  const host = address.startsWith('http://') ? (URL.parse(address)?.hostname ?? '') : undefined;
  if (
    tokenFile !== undefined &&
    host !== undefined &&
    host !== 'localhost' &&
    !isLoopback(host.replaceAll(/[[\]]/g, ''))
  )
    complaints.push({
      code: 'TRY0906',
      severity: 'warning',
      path: ['consul', 'address'],
      message: `the ACL token travels to ${address} in plain text`,
      remedy: "Use the host's own Consul agent on 127.0.0.1, or https://.",
    });
  return complaints;
}

/** Without Consul nobody registers anything, and nobody checks. */
function registryComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  if (settings.registry !== 'files') return [];
  const fleet: readonly Complaint[] =
    written.mesh.fleet.trust === undefined
      ? []
      : [
          {
            code: RULE,
            path: ['mesh', 'fleet', 'trust'],
            message: 'with registry "files" there is no Consul to take the configuration of the fleet from',
            remedy: 'Remove it, or set registry: consul.',
          },
        ];
  const checks = written.services.flatMap(({ name, check }, i): Complaint[] =>
    check === undefined
      ? []
      : [
          {
            code: RULE,
            severity: 'warning',
            path: ['services', i, 'check'],
            message: `nobody checks service ${name}: with registry "files" there is no Consul`,
            remedy: 'Remove the check; outlierDetection in a DestinationRule takes instances out that fail.',
          },
        ],
  );
  return [...fleet, ...checks];
}

function pathComplaints(settings: AgentSettings): readonly Complaint[] {
  const longest = [settings.paths.run, settings.envoy.runDir]
    .map((folder) => sockets(folder).admin)
    .reduce((a, b) => (Buffer.byteLength(b) > Buffer.byteLength(a) ? b : a));
  const bytes = Buffer.byteLength(longest);
  return bytes < MAX_SOCKET_PATH_BYTES
    ? []
    : [
        {
          code: RULE,
          path: longest.startsWith(`${settings.paths.run}/`) ? ['paths', 'run'] : ['envoy', 'runDir'],
          message: `${longest} has ${bytes} bytes, and the path of a Unix socket at most ${MAX_SOCKET_PATH_BYTES - 1}`,
          remedy: `Choose a shorter folder, such as ${PATHS.run}.`,
        },
      ];
}

/** Everything that is wrong with settings that are each well formed. */
export function settingsComplaints(settings: AgentSettings, written: WrittenSettings): readonly Complaint[] {
  return [
    ...serviceComplaints(settings, written),
    ...checkComplaints(written),
    ...modeComplaints(settings),
    ...captureComplaints(settings, written),
    ...nameComplaints(settings),
    ...upstreamComplaints(settings),
    ...listenerComplaints(settings),
    ...gatewayComplaints(settings, written),
    ...identityComplaints(settings, written),
    ...consulComplaints(settings),
    ...registryComplaints(settings, written),
    ...pathComplaints(settings),
  ];
}
