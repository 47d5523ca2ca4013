/** Rate limits that may not hold where they are meant to. */
import type { Diagnostic } from '../model/diagnostic.ts';
import { serviceOfHost } from '../model/host-names.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import { mayLimit, type RateLimit } from '../model/rate-limit.ts';
import { describeObject } from '../model/resource-meta.ts';

/** @param rateLimits with canonical hosts */
export function checkRateLimits(config: MeshConfig, rateLimits: readonly RateLimit[]): readonly Diagnostic[] {
  return rateLimits.flatMap((rateLimit): Diagnostic[] => {
    const { meta, host = '', gateway } = rateLimit;
    const owner = gateway === undefined ? serviceOfHost(config, host)?.namespace : gateway.name.split('/')[0];
    if (owner === undefined || mayLimit(rateLimit, owner, config.rootNamespace)) return [];
    return [
      {
        code: 'TRY0411',
        severity: 'error',
        object: describeObject(meta),
        path: gateway === undefined ? 'spec.host' : 'spec.gateway',
        source: meta.source,
        message: `${gateway === undefined ? host : `Gateway ${gateway.name}`} is of namespace ${owner}, whose requests namespace ${meta.namespace} may not limit`,
        remedy: `Move it to namespace ${owner} or, if it is the mesh's, to ${config.rootNamespace}.`,
      },
    ];
  });
}
