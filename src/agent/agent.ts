/**
 * The agent: what starts in which order, and how all of it ends.
 *
 * Envoy is started first, since it takes longest; while it loads, the other half of the agent is loaded and reads
 * certificates, resources and the last good catalogue. xDS opens only when the first complete configuration is there, so
 * that an Envoy which was adopted never sees half of one. Services are registered when Envoy is ready for them.
 */
import { isDeepStrictEqual } from 'node:util';
import { serveApi } from '../api/server.ts';
import { VERSION } from '../api/version.ts';
import { ListeningPorts } from '../envoy/port-owner.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { envoyVersion } from '../platform/vm/envoy-binary.ts';
import { createNotifier } from '../platform/vm/notify.ts';
import { sockets } from '../platform/vm/paths.ts';
import { mtlsMode } from '../translate/peer-authentication.ts';
import { EarlySocket } from '../xds/early-socket.ts';
import { loadMeshConfig, prepareFolders } from './agent-files.ts';
import { Allocations } from './allocations.ts';
import { bypassable } from './bypassable.ts';
import { letEnvoyHoldRules, needsCapture } from './capture-need.ts';
import type { CaptureSide } from './capture-side.ts';
import { DiagnosticLog, summarise } from './diagnostic-log.ts';
import { keepDrainSettings } from './drain-record.ts';
import { EnvoySide, isExternal } from './envoy-side.ts';
import { uidOf } from './free-addresses.ts';
import type { MeshSide } from './mesh-side.ts';
import { namesAreReachable } from './reachable-names.ts';
import { registrable } from './registrable.ts';
import { reloaded } from './reload.ts';
import { ResolverSide } from './resolver-side.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';
import { type AgentParts, allDiagnostics, reportStatus } from './status-report.ts';

/** How long a reload waits for Consul before the health listener moves. */
const HEALTH_MOVE_MS = 3000;

/** Whether a policy guards the port of a service of this host. */
function isGuarded(
  { mesh: side, host }: AgentParts,
  service: { readonly name: string; readonly namespace: string },
): boolean {
  const mesh = side?.loop.mesh;
  const workload = host.workloads.find((one) => one.service === service.name && one.namespace === service.namespace);
  if (mesh === undefined || workload?.inbound === undefined) return false;
  const { port } = workload.inbound.listen;
  return mtlsMode(mesh.peerAuthentications, workload, port, mesh.config.rootNamespace) === 'STRICT';
}

function notStarted(): TrysailError {
  return new TrysailError('AGENT_STARTING', 'the agent is still starting', { remedy: 'Try again in a moment.' });
}

/**
 * Runs the agent until `signal` aborts, then stops it in order: deregister, drain, end Envoy; or, where Envoy has a unit
 * of its own, leaves all that as it is.
 * @param reread reads the settings again, as they were read for the start
 * @throws TrysailError when it cannot start at all: folders, meshconfig.yaml, identity, the program of Envoy, another
 * agent in the same run folder. Everything else is reported by `trysail status` and tried again.
 */
export async function runAgent(
  settings: AgentSettings,
  reread: () => Promise<LoadedSettings>,
  signal: AbortSignal,
): Promise<void> {
  const log = createLog(settings.log.level);
  const paths = sockets(settings.paths.run);
  const notifier = createNotifier();
  await prepareFolders(settings.paths);
  const { config, diagnostics } = await loadMeshConfig(settings.mesh.configFile);
  const allocations = await Allocations.open(settings.paths.state, log);
  const host = await allocations.host(settings, config);
  const keepForDrain = async (of: AgentSettings): Promise<void> =>
    keepDrainSettings(of.paths.state, of).catch((error: unknown) =>
      log.warn({ error: errorMessage(error) }, 'what "trysail drain" needs cannot be saved: it will read agent.yaml'),
    );
  await keepForDrain(settings);
  const envoySide = await EnvoySide.create(settings, host, log.child({ room: 'envoy' }));
  const envoy = envoySide.process;
  const external = isExternal(settings);
  let capture: CaptureSide | undefined;
  const startCapture = async (of: AgentSettings): Promise<CaptureSide> => {
    const { CaptureSide: Side } = await import('./capture-side.ts');
    capture = await Side.start({
      settings: of,
      ports: () => allocations.capturePorts,
      isGuarded: (service) => isGuarded(parts, service),
      onChange: () => {
        parts.mesh?.reviewRegistrations();
        if (parts.mesh !== undefined) resolve(parts.mesh);
      },
      log: log.child({ room: 'capture' }),
    });
    return capture;
  };
  const parts: AgentParts = { settings, config, configDiagnostics: diagnostics, host, since: new Date(), envoy };
  const reload = async (mesh: MeshSide): Promise<readonly Diagnostic[]> => {
    await notifier.reloading();
    const [next] = await Promise.all([
      reread().then(async (loaded) => reloaded(parts, loaded)),
      mesh.resources.reload(),
    ]);
    parts.configDiagnostics = next.diagnostics;
    if (!isDeepStrictEqual([next.settings, next.config], [parts.settings, parts.config])) {
      const { settings: before } = parts;
      parts.settings = next.settings;
      parts.config = next.config;
      parts.host = await allocations.host(next.settings, next.config);
      log.setLevel(next.settings.log.level);
      await keepForDrain(next.settings);
      if (!isDeepStrictEqual(before.envoy.healthListener, next.settings.envoy.healthListener))
        await mesh.consul?.withoutProxyHealth(HEALTH_MOVE_MS);
      await envoySide
        .configure(next.settings, parts.host)
        .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the program of Envoy'));
      // Before the mesh says that all is open, which is when the rules may follow.
      if (capture === undefined && needsCapture(next.settings)) await startCapture(next.settings);
      mesh.configure({ settings: next.settings, config: next.config, host: parts.host });
      resolve(mesh);
    }
    const diagnostics = [...next.diagnostics, ...mesh.resources.resources.diagnostics];
    log.info({ diagnostics: diagnostics.length }, 'settings, mesh configuration and resources are read again');
    await notifier.ready();
    return diagnostics;
  };
  const reloads = new Slots(1);
  let resolver: ResolverSide | undefined;
  parts.hostDiagnostics = () => [
    ...allocations.diagnostics,
    ...(resolver?.diagnostics ?? []),
    ...(capture?.diagnostics ?? []),
  ];
  const resolve = (side: MeshSide): void => {
    // Not the host of the settings: nobody is to ask a port that somebody else has.
    const { mesh, host } = side.loop;
    if (mesh === undefined || (resolver === undefined && host.dns === undefined)) return;
    resolver ??= new ResolverSide({ runDir: settings.paths.run, isSettled: async () => side.isSettled(), log });
    const { dns: _, ...nameless } = host;
    resolver.follow(mesh, namesAreReachable(parts.settings, capture?.isApplied ?? false) ? host : nameless);
  };
  // The socket is the lock as well: a second agent in the same run folder ends here.
  const api = await serveApi({
    socket: paths.api,
    log: log.child({ room: 'api' }),
    handlers: {
      status: async () => {
        const ports = await ListeningPorts.lookAside(envoy.pids);
        const envoyUid = external ? uidOf(envoy.pids[0]) : undefined;
        return reportStatus(
          parts,
          bypassable(parts.settings, { ports, envoyUid, isKept: (port) => capture?.isKept(port) ?? false }),
        );
      },
      rotate: async (request) => {
        if (parts.mesh === undefined) throw notStarted();
        return { renewed: await parts.mesh.identity.rotateNow(request?.spiffeId) };
      },
      reload: async () => {
        if (parts.mesh === undefined) throw notStarted();
        const { mesh } = parts;
        return { diagnostics: await reloads.run(async () => reload(mesh)) };
      },
      capture: async (request) => {
        if (parts.mesh === undefined) throw notStarted();
        return (capture ?? (await startCapture(parts.settings))).call(request, parts.settings);
      },
    },
  });
  const onHangup = (): void => {
    const { mesh } = parts;
    if (mesh === undefined) return;
    void reloads
      .run(async () => reload(mesh))
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the reload failed'));
  };
  process.on('SIGHUP', onHangup);
  let watchdog: NodeJS.Timeout | undefined;
  let complaints: DiagnosticLog | undefined;
  let xdsSocket: EarlySocket | undefined;
  try {
    xdsSocket = await EarlySocket.open(paths.xds, external ? 0o660 : undefined);
    log.info({ version: VERSION, host: host.nodeId }, 'the agent starts');
    await letEnvoyHoldRules(settings, log);
    if (needsCapture(settings)) await startCapture(settings);
    await envoy.start();
    const ports = ListeningPorts.lookAside(envoy.pids);
    const { MeshSide } = await import('./mesh-side.ts');
    const mesh = await MeshSide.start(
      {
        settings,
        config,
        host,
        xdsSocket,
        log,
        envoyPids: () => envoy.pids,
        ...(envoySide.lastGood === undefined ? {} : { lastGoodBootstrap: envoySide.lastGood }),
        registrable: (of) => registrable(of, capture?.isConfirmed ?? false),
        ports,
        listenersWarming: async () => envoySide.listenersWarming(),
        onChange: (change) => {
          if (parts.mesh === undefined) return;
          if (change === 'open') capture?.configure(parts.settings);
          else capture?.review(parts.settings);
          resolve(parts.mesh);
        },
      },
      signal,
    );
    parts.mesh = mesh;
    if (notifier.watchdogIntervalMs !== undefined) {
      watchdog = setInterval(() => void notifier.watchdog(), notifier.watchdogIntervalMs);
    }
    await notifier.ready('serving; waiting for Envoy');
    envoy
      .ready(signal)
      .then(
        () => {
          mesh.register();
          parts.isReady = true;
          const tell = (diagnostics: readonly Diagnostic[]): void => {
            const summary = summarise(diagnostics);
            void notifier.status(summary === '' ? 'running' : `running; ${summary}: see trysail status`);
          };
          tell([]);
          complaints = new DiagnosticLog({ read: () => allDiagnostics(parts), log, onChange: tell });
          log.info('the agent is ready');
          // Last of all, for it costs a run of the program. A wrong version is said loudly, and may work all the same.
          return envoyVersion(envoySide.binary);
        },
        (error: unknown) => log.debug({ error: errorMessage(error) }, 'ended before Envoy was ready'),
      )
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the program of Envoy'));
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    parts.isDraining = true;
    log.info(external ? 'the agent stops; Envoy serves on' : 'the agent stops: deregister, drain, end Envoy');
    await notifier.stopping();
    // Where Envoy has a unit of its own, that unit's end is the end of the services.
    if (!external) await Promise.all([resolver?.withdraw(), mesh.consul?.deregister()]);
  } finally {
    clearInterval(watchdog);
    complaints?.close();
    process.removeListener('SIGHUP', onHangup);
    await Promise.all([resolver?.close(), capture?.close()]);
    // An agent that cannot start takes nothing down that an earlier one has left serving.
    const { adopted, hotRestart } = envoy.status;
    if (parts.isDraining !== true && (adopted || hotRestart !== undefined)) await envoy.leave();
    else await envoy.stop();
    await parts.mesh?.stop();
    xdsSocket?.close();
    await api.close();
  }
}
