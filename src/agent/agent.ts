/**
 * The agent: what starts in which order, and how all of it ends.
 *
 * Envoy is started first, since it takes longest; while it loads, the other half of the agent is loaded and reads
 * certificates, resources and the last good catalogue. xDS opens only when the first complete configuration is there, so
 * that an Envoy which was adopted never sees half of one. Services are registered when Envoy is ready for them.
 */
import { serveApi } from '../api/server.ts';
import { VERSION } from '../api/version.ts';
import { ListeningPorts } from '../envoy/port-owner.ts';
import { errorMessage } from '../lib/errors.ts';
import { createLog, type Log } from '../lib/log.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { envoyVersion } from '../platform/vm/envoy-binary.ts';
import { createNotifier, type Notifier } from '../platform/vm/notify.ts';
import { sockets } from '../platform/vm/paths.ts';
import { EarlySocket } from '../xds/early-socket.ts';
import { loadMeshConfig, prepareFolders } from './agent-files.ts';
import { Allocations } from './allocations.ts';
import { apiHandlers } from './api-handlers.ts';
import { DiagnosticLog, summarise } from './diagnostic-log.ts';
import { EnvoySide, isExternal } from './envoy-side.ts';
import { readHostResources } from './host-resources.ts';
import { HostSide } from './host-side.ts';
import type { LearnerSide } from './learner-side.ts';
import { LearntServices } from './learnt-services.ts';
import { registrable } from './registrable.ts';
import { keepInForce, Reloading } from './reloading.ts';
import type { AgentSettings } from './settings.ts';
import type { LoadedSettings } from './settings-load.ts';
import { settingsOfResources } from './settings-of-resources.ts';
import { type AgentParts, allDiagnostics } from './status-report.ts';

/** Keeps the log and systemd's status line at what is wrong. */
function tellComplaints(parts: AgentParts, notifier: Notifier, log: Log): DiagnosticLog {
  const tell = (diagnostics: readonly Diagnostic[]): void => {
    const summary = summarise(diagnostics);
    void notifier.status(summary === '' ? 'running' : `running; ${summary}: see trysail status`);
  };
  tell([]);
  return new DiagnosticLog({ read: () => allDiagnostics(parts), log, onChange: tell });
}

/** Learns services when they are first called, where settings say so: not even loaded elsewhere. */
async function startLearner(options: Parameters<typeof LearnerSide.start>[0]): Promise<LearnerSide | undefined> {
  if (!options.parts.settings.discovery.onDemand) return undefined;
  const { LearnerSide: Side } = await import('./learner-side.ts');
  return Side.start(options);
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Runs the agent until `signal` aborts, then stops it in order: deregister, drain, end Envoy; or, where Envoy has a unit
 * of its own, leaves all that as it is.
 * @param reread reads the settings again, as they were read for the start
 * @throws TrysailError when it cannot start at all: folders, meshconfig.yaml, identity, the program of Envoy, another
 * agent in the same run folder. Everything else is reported by `trysail status` and tried again.
 */
export async function runAgent(
  written: AgentSettings,
  reread: () => Promise<LoadedSettings>,
  signal: AbortSignal,
): Promise<void> {
  const log = createLog(written.log.level);
  const paths = sockets(written.paths.run);
  const notifier = createNotifier();
  await prepareFolders(written.paths);
  const { config, diagnostics } = await loadMeshConfig(written.mesh.configFile);
  const { settings } = settingsOfResources(written, await readHostResources(written.paths.state), config);
  const allocations = await Allocations.open(settings.paths.state, log);
  const store = await LearntServices.open(settings.paths.state);
  if (settings.discovery.onDemand)
    allocations.call(store.hosts.map((host) => ({ host, isFresh: false, isLeaving: false })));
  const host = await allocations.host(settings, config);
  await keepInForce(settings, log);
  const envoySide = await EnvoySide.create(settings, host, log.child({ room: 'envoy' }));
  const envoy = envoySide.process;
  const external = isExternal(settings);
  const parts: AgentParts = { settings, config, configDiagnostics: diagnostics, host, since: new Date(), envoy };
  const hostSide = new HostSide({ parts, allocations, log });
  parts.hostDiagnostics = () => hostSide.diagnostics;
  const reloading = new Reloading({
    written,
    parts,
    reread,
    allocations,
    envoy: envoySide,
    host: hostSide,
    notifier,
    log,
  });
  // The socket is the lock as well: a second agent in the same run folder ends here.
  const api = await serveApi({
    socket: paths.api,
    log: log.child({ room: 'api' }),
    handlers: apiHandlers(parts, hostSide, reloading),
  });
  const onHangup = (): void => {
    if (parts.mesh === undefined) return;
    void reloading
      .run(parts.mesh)
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the reload failed'));
  };
  process.on('SIGHUP', onHangup);
  let watchdog: NodeJS.Timeout | undefined;
  let complaints: DiagnosticLog | undefined;
  let xdsSocket: EarlySocket | undefined;
  let learnerSide: LearnerSide | undefined;
  try {
    xdsSocket = await EarlySocket.open(paths.xds, external ? 0o660 : undefined);
    log.info({ version: VERSION, host: host.nodeId }, 'the agent starts');
    await hostSide.start(settings);
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
        registrable: (of) => registrable(of, hostSide.isCaptureConfirmed),
        ports,
        listenersWarming: async () => envoySide.listenersWarming(),
        onChange: (change) => {
          if (parts.mesh === undefined) return;
          hostSide.follow(change);
          reloading.follow(parts.mesh);
          learnerSide?.follow();
        },
      },
      signal,
    );
    parts.mesh = mesh;
    reloading.follow(mesh);
    learnerSide = await startLearner({ parts, mesh, store, reloading, external, log });
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
          complaints = tellComplaints(parts, notifier, log);
          log.info('the agent is ready');
          // Last of all, for it costs a run of the program. A wrong version is said loudly, and may work all the same.
          return envoyVersion(envoySide.binary);
        },
        (error: unknown) => log.debug({ error: errorMessage(error) }, 'ended before Envoy was ready'),
      )
      .catch((error: unknown) => log.error({ error: errorMessage(error) }, 'the program of Envoy'));
    await untilAborted(signal);
    parts.isDraining = true;
    log.info(external ? 'the agent stops; Envoy serves on' : 'the agent stops: deregister, drain, end Envoy');
    await notifier.stopping();
    // Where Envoy has a unit of its own, that unit's end is the end of the services.
    if (!external) await Promise.all([hostSide.withdraw(), mesh.consul?.deregister()]);
  } finally {
    clearInterval(watchdog);
    complaints?.close();
    process.removeListener('SIGHUP', onHangup);
    await learnerSide?.close();
    await hostSide.close();
    // An agent that cannot start takes nothing down that an earlier one has left serving.
    const { adopted, hotRestart } = envoy.status;
    if (parts.isDraining !== true && (adopted || hotRestart !== undefined)) await envoy.leave();
    else await envoy.stop();
    await parts.mesh?.stop();
    xdsSocket?.close();
    await api.close();
  }
}
