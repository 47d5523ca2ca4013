/** Patterns of the names that clusters have in Envoy's statistics. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/ */
import { STAT_NAME_PARTS } from '../model/mesh-config.ts';

/** Why `pattern` names no statistics; undefined where it does. An empty one is the default. */
export function statNameProblem(pattern: string): string | undefined {
  // What takes names apart ends them at ";".
  const foreign = /[;\s\p{Cc}]/u.exec(pattern)?.[0];
  if (foreign !== undefined) return `has ${JSON.stringify(foreign)}, which no name of statistics may have`;
  const parts: readonly string[] = STAT_NAME_PARTS;
  for (const [part] of pattern.matchAll(/%[A-Z_]*%?/g))
    if (!parts.includes(part)) return `"${part}" is none of ${parts.join(', ')}`;
  return undefined;
}
