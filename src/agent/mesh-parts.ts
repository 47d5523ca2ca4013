/** The parts that make and serve a mesh's configuration, each wired to those that it tells of its changes. None has begun. */
import { join } from 'node:path';
import type { LastGoodBootstrap } from '../envoy/last-good-bootstrap.ts';
import { IdentityKeeper } from '../identity/identity-keeper.ts';
import type { Log } from '../lib/log.ts';
import type { Host } from '../model/host.ts';
import { ResourceDirectory } from '../sources/resource-directory.ts';
import type { ResourceSet } from '../sources/resource-set.ts';
import type { XdsServer } from '../xds/server.ts';
import { createProvider } from './certificate-source.ts';
import { type Configuration, meshedServices, upstreamHosts } from './configuration.ts';
import { ConsulSide } from './consul-side.ts';
import { CredentialFiles } from './credential-files.ts';
import type { FleetSide, FleetSideOptions } from './fleet-side.ts';
import { GatewayPorts } from './gateway-ports.ts';
import { LastGood } from './last-good.ts';
import { MeshLoop } from './mesh-loop.ts';
import { meshXds } from './mesh-xds.ts';
import { Secrets } from './secrets.ts';
import type { AgentSettings } from './settings.ts';
import { neededIdentities } from './settings-host.ts';

export interface MeshPartsOptions {
  readonly configuration: Configuration;
  /** What is served first. */
  readonly serving: Host;
  readonly log: Log;
  /** Pids of the Envoys that run now: one, and those that it has replaced. */
  readonly envoyPids: () => readonly number[];
  /** Where all that Envoy has acknowledged is kept; undefined: nowhere. */
  readonly lastGoodBootstrap: LastGoodBootstrap | undefined;
  /** What of settings peers may be told now. */
  readonly registrable: (settings: AgentSettings) => AgentSettings;
  /** Called when the mesh has changed. */
  readonly onMesh: () => void;
}

export interface MeshParts {
  readonly identity: IdentityKeeper;
  readonly loop: MeshLoop;
  readonly xds: XdsServer;
  readonly resources: ResourceDirectory;
  readonly credentials: CredentialFiles;
  readonly gatewayPorts: GatewayPorts;
  readonly lastGood: LastGood;
  /** Undefined with `registry: files`. */
  readonly consul: ConsulSide | undefined;
  /** Undefined: this host takes no fleet configuration. */
  readonly fleet: FleetSide | undefined;
  /** Whether the catalogue that an earlier agent kept is in use. */
  readonly isRestored: boolean;
  /** Takes the resource files of this host, beside those of the fleet. */
  readonly useLocal: (local: ResourceSet) => void;
}

/** Not even loaded where a host takes no fleet configuration. */
async function startFleet(options: FleetSideOptions): Promise<FleetSide> {
  const { FleetSide: Side } = await import('./fleet-side.ts');
  return Side.start(options);
}

/** @throws TrysailError of the certificates' source, or `FLEET_KEY_…` for a root that cannot be read */
export async function meshParts(options: MeshPartsOptions): Promise<MeshParts> {
  const { configuration, serving, log, envoyPids, lastGoodBootstrap } = options;
  const { settings, config, host } = configuration;
  const usesConsul = settings.registry === 'consul';
  const lastGood = new LastGood(settings.paths.state, log);
  const [provider, restored] = await Promise.all([
    createProvider(settings, config, log),
    usesConsul ? lastGood.read() : undefined,
  ]);
  const secrets = new Secrets();
  const { xds, serve } = meshXds({ loop: () => loop, lastGoodBootstrap, log });
  const gatewayPorts = new GatewayPorts({ envoyPids, onDue: () => loop.update({}) });
  const loop: MeshLoop = new MeshLoop({
    config,
    host: serving,
    usesConsul,
    localServices: meshedServices(configuration),
    seenMeshed: restored?.meshedHosts ?? new Set(),
    serve,
    usable: (mesh, wanted) => gatewayPorts.of(mesh, wanted),
    onFiles: (names) => credentials.follow(names),
    onMesh: (_mesh, meshedHosts) => {
      const catalogue = consul?.watcher.state;
      if (catalogue !== undefined) lastGood.keep({ catalogue, meshedHosts });
      options.onMesh();
    },
  });
  const consul = usesConsul
    ? new ConsulSide({
        settings,
        config,
        log,
        upstreamHosts: upstreamHosts(host),
        gateways: host.gateways ?? [],
        registrable: options.registrable,
        onCatalogue: (catalogue) => loop.update({ catalogue }),
      })
    : undefined;
  const credentials = new CredentialFiles({
    folder: settings.paths.credentials,
    log: log.child({ room: 'credentials' }),
    onChange: (read) => loop.update({ credentials: read }),
  });
  const use = (resources: ResourceSet): void => {
    loop.update({ resources });
    consul?.useResources(resources);
  };
  const useLocal = (local: ResourceSet): void => use(fleet?.useLocal(local) ?? local);
  const resources = new ResourceDirectory({
    dir: settings.mesh.resourcesDir,
    lastGoodFile: join(settings.paths.state, 'resources.json'),
    log: log.child({ room: 'resources' }),
    onChange: useLocal,
  });
  const fleetSettings = usesConsul ? settings.mesh.fleet : undefined;
  const fleet =
    fleetSettings === undefined
      ? undefined
      : await startFleet({ configuration, fleet: fleetSettings, log: log.child({ room: 'fleet' }), onChange: use });
  const identity = new IdentityKeeper({
    provider,
    identities: neededIdentities(serving),
    stateDir: settings.paths.state,
    persist: settings.identity.persist,
    log: log.child({ room: 'identity' }),
    onChange: (material) => {
      secrets.replace(material);
      loop.update({ secrets: secrets.resources });
    },
  });
  const isRestored = restored?.catalogue !== undefined && consul !== undefined;
  if (isRestored) {
    consul.watcher.restore(restored.catalogue);
    loop.update({ catalogue: consul.watcher.state });
  }
  return { identity, loop, xds, resources, credentials, gatewayPorts, lastGood, consul, fleet, isRestored, useLocal };
}
