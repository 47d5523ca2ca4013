/**
 * `trysail bypass`: takes services of this host past the proxy and back, as root, from files alone: no Consul, no CA and
 * no agent is asked.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { silentLog } from '../lib/log.ts';
import type { Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { DEFAULT_MESH_CONFIG, type MeshConfig } from '../model/mesh-config.ts';
import { BYPASS_TABLE, bypassRuleset, needsRouteLocalnet } from '../platform/vm/bypass-ruleset.ts';
import { CgroupWatcher } from '../platform/vm/cgroup-watcher.ts';
import { runTool } from '../platform/vm/host-tool.ts';
import { nftError } from '../platform/vm/nft-error.ts';
import { buildMesh } from '../sources/build-mesh.ts';
import { readCatalogueSnapshot } from '../sources/catalogue-snapshot.ts';
import { loadMeshConfig } from './agent-files.ts';
import { Allocations } from './allocations.ts';
import { audit } from './audit-log.ts';
import { type BypassInputs, bypassPlanOf, EVERYTHING, type PlannedBypass } from './bypass-plan.ts';
import { type BypassEntry, bypassDir, readBypassState, uptimeS, writeBypassState } from './bypass-state.ts';
import { proxyUsers } from './capture-offline.ts';
import { capturedUnits, captureFacts, capturePlanOf } from './capture-plan-of.ts';
import { capturePortsOf } from './capture-ports-file.ts';
import type { Configuration } from './configuration.ts';
import { LearntServices } from './learnt-services.ts';
import { readHostResources } from './read-resources.ts';
import type { AgentSettings } from './settings.ts';

const ROUTE_LOCALNET = '/proc/sys/net/ipv4/conf/all/route_localnet';

export interface BypassReport extends Omit<PlannedBypass, 'plan'> {
  /** What is past the proxy now; `*` is everything. */
  readonly names: readonly string[];
  /** Where no audit line could be written. */
  readonly unaudited: readonly string[];
}

/** The program with the arguments of a later call. */
export interface LaterCall {
  readonly command: readonly string[];
}

function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new TrysailError('BYPASS_NOT_ROOT', 'taking traffic past the proxy needs root', {
    remedy: 'Run it with sudo.',
  });
}

/** The host as its agent has it, learnt services included. */
async function hostOf(settings: AgentSettings, config: MeshConfig): Promise<Host> {
  const allocations = await Allocations.open(settings.paths.state, silentLog());
  if (settings.discovery.onDemand) {
    const { hosts } = await LearntServices.open(settings.paths.state);
    allocations.call(hosts.map((host) => ({ host, isFresh: false, isLeaving: false })));
  }
  return allocations.planned(settings, config);
}

/** The mesh as the files of this host have it. */
async function lastGoodMesh(configuration: Configuration): Promise<Mesh> {
  const { settings, config } = configuration;
  const catalogue = await readFile(join(settings.paths.state, 'catalogue.json'), 'utf8')
    .then(
      (text) => readCatalogueSnapshot(text),
      () => undefined,
    )
    .catch(() => undefined);
  return buildMesh(undefined, {
    config,
    resources: await readHostResources(configuration),
    catalogue: catalogue ?? (settings.registry === 'files' ? undefined : { services: new Map(), diagnostics: [] }),
    localServices: settings.services,
  });
}

async function inputsOf(settings: AgentSettings): Promise<BypassInputs> {
  const config = await loadMeshConfig(settings.mesh.configFile).then(
    (loaded) => loaded.config,
    () => DEFAULT_MESH_CONFIG,
  );
  const host = await hostOf(settings, config);
  const facts = await captureFacts(settings, await proxyUsers(settings));
  const watcher = new CgroupWatcher({ units: capturedUnits(settings), onChange: () => undefined });
  const cgroups = watcher.current;
  watcher.close();
  const capturePorts = await capturePortsOf(settings);
  return {
    settings,
    mesh: await lastGoodMesh({ settings, config, host }),
    host,
    captured: capturePlanOf(settings, { facts, cgroups, capturePorts }),
  };
}

async function loadRules(dir: string, text: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o755 });
  const file = join(dir, 'bypass.nft');
  await writeFile(file, text, { mode: 0o600 });
  await runTool('nft', '-f', file).catch((error: unknown) => {
    throw nftError(errorMessage(error), text) ?? error;
  });
}

/** Rules and state for these entries, in the order in which nothing is ever open that should not be. */
async function setEntries(settings: AgentSettings, entries: readonly BypassEntry[]): Promise<PlannedBypass> {
  const dir = bypassDir(settings.paths.run);
  const planned = bypassPlanOf(
    await inputsOf(settings),
    entries.map(({ name }) => name),
  );
  const before = await readBypassState(dir);
  const needs = needsRouteLocalnet(planned.plan);
  const isOff = (await readFile(ROUTE_LOCALNET, 'utf8')).trim() === '0';
  const restoreRouteLocalnet = before.restoreRouteLocalnet || (needs && isOff);
  await writeBypassState(dir, { entries: [...entries], restoreRouteLocalnet });
  await loadRules(dir, bypassRuleset(planned.plan));
  if (needs && isOff) await writeFile(ROUTE_LOCALNET, '1');
  return planned;
}

/** Everything back as it was; needs no settings. */
async function removeAll(dir: string): Promise<void> {
  const { restoreRouteLocalnet } = await readBypassState(dir);
  if (restoreRouteLocalnet) await writeFile(ROUTE_LOCALNET, '0');
  await runTool('nft', 'delete', 'table', 'inet', BYPASS_TABLE).catch(() => undefined);
  await writeBypassState(dir, { entries: [], restoreRouteLocalnet: false });
}

/** Has a command run after some time, although this process ends and no agent lives. */
async function runLater({ command }: LaterCall, seconds: number): Promise<void> {
  const fallback = `"$@" || nft delete table inet ${BYPASS_TABLE}`;
  if (existsSync('/run/systemd/system')) {
    const unit = `trysail-bypass-end-${process.pid}-${Math.round(performance.timeOrigin)}`;
    await runTool(
      'systemd-run',
      '--quiet',
      '--collect',
      `--on-active=${seconds}s`,
      '--timer-property=AccuracySec=1s',
      `--unit=${unit}`,
      '/bin/sh',
      '-c',
      fallback,
      'sh',
      ...command,
    );
    return;
  }
  const child = spawn('/bin/sh', ['-c', `sleep "$1"; shift; ${fallback}`, 'sh', String(seconds), ...command], {
    detached: true,
    stdio: 'ignore',
    cwd: '/',
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  child.unref();
}

const auditFile = (settings: AgentSettings): string => join(settings.paths.state, 'audit.log');

/**
 * Takes services past the proxy.
 * @param options.names of services of this host or that it calls, `*` for all
 * @param options.forMs undefined: until `endBypass` or a reboot
 * @param options.later what ends it, when `forMs` is over
 * @throws TrysailError `BYPASS_NOT_ROOT`, `BYPASS_UNKNOWN`, `CAPTURE_REFUSED` with nft's complaint
 */
export async function startBypass(
  settings: AgentSettings,
  options: { readonly names: readonly string[]; readonly forMs: number | undefined; readonly later: LaterCall },
): Promise<BypassReport> {
  requireRoot();
  const { names, forMs, later } = options;
  const before = await readBypassState(bypassDir(settings.paths.run));
  const seconds = forMs === undefined ? undefined : Math.ceil(forMs / 1000);
  const ends = seconds === undefined ? {} : { endsAtUptimeS: (await uptimeS()) + seconds };
  const kept = before.entries.filter(({ name }) => !names.includes(name));
  const entries = [...kept, ...names.map((name): BypassEntry => ({ name, ...ends }))];
  const { plan: _, ...planned } = await setEntries(settings, entries);
  // A little later than the entry says, which decides.
  if (seconds !== undefined) await runLater(later, seconds + 1);
  const unaudited = await audit(auditFile(settings), {
    action: 'bypass',
    names,
    ...(seconds === undefined ? {} : { seconds }),
    suspended: planned.suspended,
  });
  return { names: entries.map(({ name }) => name), ...planned, unaudited };
}

/**
 * Takes services back into the proxy.
 * @param names undefined: those whose time is over; `*`: all
 * @throws TrysailError `BYPASS_NOT_ROOT`, `CAPTURE_REFUSED`
 */
export async function endBypass(settings: AgentSettings, names: readonly string[] | undefined): Promise<BypassReport> {
  requireRoot();
  const dir = bypassDir(settings.paths.run);
  const { entries } = await readBypassState(dir);
  const now = await uptimeS();
  const isOver = ({ name, endsAtUptimeS }: BypassEntry): boolean =>
    names === undefined
      ? endsAtUptimeS !== undefined && endsAtUptimeS <= now
      : names.includes(EVERYTHING) || names.includes(name);
  const left = entries.filter((entry) => !isOver(entry));
  const ended = entries.filter(isOver).map(({ name }) => name);
  let planned: Omit<PlannedBypass, 'plan'> = { bypassed: [], notBypassed: [], suspended: [] };
  if (left.length === 0) await removeAll(dir);
  else if (ended.length > 0) {
    const { plan: _, ...rest } = await setEntries(settings, left);
    planned = rest;
  }
  const unaudited =
    ended.length === 0
      ? []
      : await audit(auditFile(settings), {
          action: 'bypass-end',
          names: ended,
          ...(names === undefined ? { timer: true } : {}),
        });
  return { names: left.map(({ name }) => name), ...planned, unaudited };
}

/** Takes everything back, where the settings cannot be read any more. */
export async function endAllBypasses(runDir: string): Promise<void> {
  requireRoot();
  await removeAll(bypassDir(runDir));
}
