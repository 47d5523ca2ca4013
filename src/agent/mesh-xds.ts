/** The xDS server of the mesh's configuration: what Envoy says of it goes to the loop that makes it. */
import type { LastGoodBootstrap } from '../envoy/last-good-bootstrap.ts';
import type { Log } from '../lib/log.ts';
import type { Resources, TypeUrl } from '../xds/resource.ts';
import { XdsServer } from '../xds/server.ts';
import type { MeshLoop } from './mesh-loop.ts';

export interface MeshXdsOptions {
  /** Of the configuration that is served. */
  readonly loop: () => Pick<MeshLoop, 'accept' | 'refuse'>;
  /** Where all that Envoy has acknowledged is kept; undefined: nowhere. */
  readonly lastGoodBootstrap: LastGoodBootstrap | undefined;
  readonly log: Log;
}

/** Listens nowhere yet. `serve` gives it what is to be served from now on. */
export function meshXds({ loop, lastGoodBootstrap, log }: MeshXdsOptions): {
  readonly xds: XdsServer;
  readonly serve: (resources: Resources) => void;
} {
  let served: Resources | undefined;
  const xds: XdsServer = new XdsServer({
    onReject: ({ typeUrl, names, blamed, message }) => {
      lastGoodBootstrap?.doubt();
      log.error({ typeUrl, names, message }, 'Envoy refused resources');
      loop().refuse({ typeUrl: typeUrl as TypeUrl, names: blamed || names.length === 1 ? names : [], message });
    },
    onAcknowledge: ({ nodeId, typeUrl }) => {
      const client = xds.status().clients.findLast((one) => one.nodeId === nodeId && typeUrl in one.types);
      if (client?.types[typeUrl]?.settled === true) loop().accept(typeUrl as TypeUrl);
      const types = Object.values(client?.types ?? {});
      if (served !== undefined && types.every(({ settled, rejected }) => settled && rejected === undefined))
        lastGoodBootstrap?.keep(served);
    },
    onOverdue: (event) => log.warn(event, 'Envoy has not answered an update in time'),
  });
  return {
    xds,
    serve: (resources) => {
      served = resources;
      xds.setResources(resources);
    },
  };
}
