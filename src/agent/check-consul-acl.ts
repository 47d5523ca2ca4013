/** What the ACL token may do, held against the policies of docs/consul.md and docs/fleet.md. */
import { jsonOf, listOf } from '../consul/answer.ts';
import type { Transport } from '../consul/transport.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { consulNameOf } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { type CheckOutcome, finding, type HostCheck } from '../platform/vm/checks/host-check.ts';
import { consulFailure, withConsul } from './check-consul.ts';
import { grantedRights, type Right, ruleOf } from './consul-rights.ts';
import { type FleetRights, fleetFindings, fleetRights } from './fleet-rights.ts';
import { localInstances } from './local-instances.ts';
import type { AgentSettings } from './settings.ts';

const TIMEOUT_MS = 4000;

const lacking = (object: string, message: string, rules: readonly string[]): Diagnostic =>
  finding('TRY1141', 'error', object, message, `Add to the policy of the token: ${rules.join(' ')} (docs/consul.md).`);

/** A read of everything, or of each service that this host names. */
function discovery(rights: Wanted, may: ReadonlySet<Right>): readonly Diagnostic[] {
  if (may.has(rights.readAll)) return [];
  const hidden = rights.reads.filter((right) => !may.has(right));
  if (hidden.length === 0) return [];
  return [
    lacking(
      'discovery',
      `the token may not read ${hidden.map(({ segment }) => segment).join(', ')}, which looks as if ${hidden.length === 1 ? 'it' : 'they'} had no instances`,
      [ruleOf(rights.readAll)],
    ),
  ];
}

interface Wanted {
  readonly writes: readonly Right[];
  readonly reads: readonly Right[];
  readonly readAll: Right;
  readonly nodes: Right;
  readonly fleet: FleetRights | undefined;
  readonly tooMuch: readonly Right[];
}

function wantedRights(settings: AgentSettings, config: MeshConfig): Wanted {
  const own = localInstances(settings, new Map()).map((instance) => instance.consulName ?? consulNameOf(instance));
  const called = settings.upstreams.flatMap(({ service }) =>
    // A host name may be of a ServiceEntry: nothing for Consul.
    typeof service === 'string' ? (service.includes('.') ? [] : [service]) : [consulNameOf(service)],
  );
  const service = (segment: string, access: Right['access']): Right => ({ resource: 'service', segment, access });
  const fleet = settings.mesh.fleet === undefined ? undefined : fleetRights(settings, config);
  return {
    writes: [...new Set(own)].map((name) => service(name, 'write')),
    reads: [...new Set([config.catalogue.sentinelService, ...called])].map((name) => service(name, 'read')),
    readAll: service('', 'read'),
    nodes: { resource: 'node', segment: '', access: 'read' },
    fleet,
    tooMuch: [
      ...(fleet === undefined ? [] : [fleet.publish]),
      { resource: 'acl', segment: '', access: 'write' },
      { resource: 'operator', segment: '', access: 'write' },
      service('', 'write'),
    ],
  };
}

async function sentinel(
  transport: Transport,
  address: string,
  name: string,
  signal: AbortSignal,
): Promise<Diagnostic | undefined> {
  const path = `/v1/health/service/${encodeURIComponent(name)}`;
  const reply = await transport.send({ method: 'GET', path, timeoutMs: TIMEOUT_MS, signal, accept: [403] });
  const asked = { address, what: `GET ${path}` };
  if (reply.status === 200 && listOf(jsonOf(reply, asked), asked).length > 0) return undefined;
  return lacking(
    `sentinel service ${name}`,
    'it is not visible to the token, so that no empty answer of Consul is believed',
    ['service_prefix "" { policy = "read" }', 'node_prefix "" { policy = "read" }'],
  );
}

async function judge(
  transport: Transport,
  address: string,
  { settings, config, signal }: { settings: AgentSettings; config: MeshConfig; signal: AbortSignal },
): Promise<CheckOutcome> {
  const wanted = wantedRights(settings, config);
  const rights = [...wanted.writes, ...wanted.reads, wanted.readAll, wanted.nodes, ...wanted.tooMuch];
  if (wanted.fleet !== undefined) rights.push(...wanted.fleet.reads, wanted.fleet.says);
  const may = await grantedRights(transport, address, rights, signal);
  const named = settings.consul.tokenFile ?? 'no token';
  if (may === 'off') return { facts: ['ACLs are off: whoever reaches Consul may register anything'], findings: [] };
  if (may === 'unknown token')
    return {
      facts: [],
      findings: [
        finding(
          'TRY1141',
          'error',
          named,
          'Consul does not know the token',
          'Make one with the policy of docs/consul.md, and write it into consul.tokenFile.',
        ),
      ],
    };
  const unseen = await sentinel(transport, address, config.catalogue.sentinelService, signal);
  const shown = unseen === undefined ? [] : [unseen];
  if (may === 'unknown')
    return { facts: ['this Consul does not tell what a token may do; tried by reading alone'], findings: shown };
  const denied = wanted.writes.filter((right) => !may.has(right));
  const findings = [
    ...denied.map((right) =>
      lacking(
        `service ${right.segment} in Consul`,
        `${named === 'no token' ? 'without a token it' : 'it'} may not be registered`,
        [ruleOf(right)],
      ),
    ),
    ...discovery(wanted, may),
    ...(may.has(wanted.nodes)
      ? []
      : [
          lacking('discovery', 'the token may not read nodes, which makes every service look empty', [
            ruleOf(wanted.nodes),
          ]),
        ]),
    ...shown,
    ...(wanted.fleet === undefined ? [] : fleetFindings(wanted.fleet, may)),
  ];
  const excess = wanted.tooMuch.filter((right) => may.has(right));
  if (excess.length > 0)
    findings.push(
      finding(
        'TRY1143',
        'warning',
        named,
        `the token may do far more than this host needs: ${excess.map(ruleOf).join(', ')}`,
        'Give this host a token of its own with the policy of docs/consul.md.',
      ),
    );
  const writes = wanted.writes.map(({ segment }) => segment);
  return {
    facts: [
      named,
      ...(writes.length === 0
        ? []
        : [`${writes.length - denied.length} of ${writes.length} services may be registered (${writes.join(', ')})`]),
      ...(unseen === undefined ? ['services and nodes are visible'] : []),
      ...(wanted.fleet !== undefined &&
      may.has(wanted.fleet.says) &&
      wanted.fleet.reads.every((right) => may.has(right))
        ? ["the fleet's configuration may be read and acknowledged"]
        : []),
    ],
    findings,
  };
}

/** The token's rights against what this host does in Consul. */
export function consulAclCheck(settings: AgentSettings, config: MeshConfig): HostCheck {
  return {
    name: 'consul-acl',
    needsConfiguration: true,
    timeoutMs: 9000,
    async run({ signal }) {
      if (settings.registry !== 'consul') return { facts: [], findings: [], skipped: 'not used (registry: files)' };
      try {
        return await withConsul(settings, async (transport, address) =>
          judge(transport, address, { settings, config, signal }),
        );
      } catch (error) {
        signal.throwIfAborted();
        const failed = consulFailure(error);
        // Told once, by the check before this one.
        if (failed.findings.some(({ message }) => /cannot be reached|did not answer/.test(message)))
          return { facts: [], findings: [], skipped: 'Consul does not answer' };
        return failed;
      }
    },
  };
}
