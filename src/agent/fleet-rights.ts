/** What the ACL token of a host needs to follow the fleet's configuration in Consul: the policy of docs/fleet.md. */
import { FLEET_PREFIX, headKey, MESH_KEY, statusKey } from '../fleet/layout.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { finding } from '../platform/vm/checks/host-check.ts';
import { type Right, ruleOf } from './consul-rights.ts';
import type { AgentSettings } from './settings.ts';

export interface FleetRights {
  /** The list of publishers, and the heads of the namespaces that this host follows for certain. */
  readonly reads: readonly Right[];
  /** The host's own word of what it has in force. */
  readonly says: Right;
  /** What publishers alone need. */
  readonly publish: Right;
}

/** The rights of a host that takes the fleet's configuration. */
export function fleetRights(
  settings: AgentSettings,
  { rootNamespace }: Pick<MeshConfig, 'rootNamespace'>,
): FleetRights {
  const { services, gateways, mesh, host } = settings;
  const own = [...services, ...gateways].map(({ namespace }) => namespace);
  const namespaces = new Set([rootNamespace, ...own, ...(mesh.fleet?.namespaces ?? [])]);
  const key = (segment: string, access: Right['access']): Right => ({ resource: 'key', segment, access });
  return {
    reads: [MESH_KEY, ...[...namespaces].map(headKey)].map((segment) => key(segment, 'read')),
    says: key(statusKey(host.name), 'write'),
    publish: key(MESH_KEY, 'write'),
  };
}

const OBJECT = 'fleet configuration';

/** What is said of the rights that are missing. */
export function fleetFindings({ reads, says }: FleetRights, may: ReadonlySet<Right>): readonly Diagnostic[] {
  const hidden = reads.filter((right) => !may.has(right)).map(({ segment }) => segment);
  const add = (rule: string): string => `Add to the policy of the token: ${rule} (docs/fleet.md).`;
  return [
    ...(hidden.length === 0
      ? []
      : [
          finding(
            'TRY1141',
            'error',
            OBJECT,
            `the token may not read ${hidden.join(', ')}: nothing that is published comes to this host`,
            add(`key_prefix "${FLEET_PREFIX}" { policy = "read" }`),
          ),
        ]),
    ...(may.has(says)
      ? []
      : [
          finding(
            'TRY1141',
            'warning',
            OBJECT,
            `the token may not write ${says.segment}, where this host says what it has in force: changes that go out in steps do not wait for it`,
            add(ruleOf(says)),
          ),
        ]),
  ];
}
