/** Findings that a resource says it knows of, by Istio's annotation `galley.istio.io/analyze-suppress`. */
import type { Diagnostic } from '../model/diagnostic.ts';
import type { Mesh } from '../model/mesh.ts';
import { describeObject, type ResourceMeta } from '../model/resource-meta.ts';

interface HasMeta {
  readonly meta: ResourceMeta;
}

function resourcesOf(mesh: Mesh): readonly HasMeta[] {
  return [
    ...mesh.virtualServices,
    ...mesh.destinationRules,
    ...mesh.peerAuthentications,
    ...mesh.gateways,
    ...mesh.sidecars,
    ...mesh.rateLimits,
    ...mesh.envoyFilters,
    ...mesh.proxyConfigs,
    ...mesh.workloadGroups,
  ];
}

/**
 * Whether a finding is told: not, where the resource that it is about names its code.
 * @param others resources that the mesh does not have as they were written
 */
export function isTold(mesh: Mesh, others: readonly HasMeta[]): (diagnostic: Diagnostic) => boolean {
  const known = new Map<string, ReadonlySet<string>>();
  for (const { meta } of [...resourcesOf(mesh), ...others])
    if (meta.suppressed !== undefined) known.set(describeObject(meta), new Set(meta.suppressed));
  return ({ code, object }) => {
    const codes = object === undefined ? undefined : known.get(object);
    return codes === undefined || !(codes.has(code) || codes.has('*'));
  };
}
