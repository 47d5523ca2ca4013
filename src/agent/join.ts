/** `trysail join`: makes a host with nothing but the package a member of a mesh. */
import { chown, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { callApi } from '../api/client.ts';
import type { Status } from '../api/status.ts';
import { publicKeysOf } from '../fleet/signing-key.ts';
import type { JoinDescription } from '../identity/host-method.ts';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { PATHS, sockets } from '../platform/vm/paths.ts';
import { parseMeshConfig } from '../sources/mesh-config.ts';
import { type ComposedFile, composeAgentYaml, composeFleetRoot, composeMeshConfig } from './join-config.ts';
import { credentialOf, settingsFrom, textOf } from './join-host.ts';
import { account, hasUnit, isActive, type JoinMachine } from './join-machine.ts';
import { askCa, checkConsul, checkEntitlement, checkRights, readToken } from './join-preflight.ts';
import type { JoinSettings } from './join-settings.ts';
import { waitForMesh } from './join-wait.ts';
import type { AgentSettings } from './settings.ts';
import { grantTproxy } from './tproxy-privilege.ts';

export interface JoinOptions {
  /** The join token. */
  readonly tokenText: string;
  /** Path of agent.yaml; meshconfig.yaml and the token lie beside it unless it says otherwise. */
  readonly configFile: string;
  readonly wanted: JoinSettings;
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** How long to wait until the host is in the mesh, in milliseconds. */
  readonly timeoutMs: number;
  readonly machine: JoinMachine;
  /** Gets progress, one sentence a line. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface JoinedFile {
  readonly path: string;
  readonly change: 'written' | 'completed' | 'unchanged';
  /** `+ host.name: vm-1`. */
  readonly added: readonly string[];
  /** Where the file says something else than was asked for, which stays. */
  readonly kept: readonly string[];
}

export interface JoinReport {
  /** `configured`: all is written, and nobody has started the agent yet. */
  readonly state: 'joined' | 'configured' | 'planned';
  /** Whether the host had a valid credential before. */
  readonly hadJoined: boolean;
  readonly host: string;
  readonly address: string;
  readonly trustDomain: string;
  readonly ca: string;
  readonly files: readonly JoinedFile[];
  /** Units that were, or would be, started, in order; empty where systemd does not run them. */
  readonly units: readonly string[];
  /** What a person has to start, where systemd does not. */
  readonly toStart?: string;
  /** Of the status of the agent, once it runs. */
  readonly certificates?: Status['certificates'];
  /** What is left to a person: rules of capture are put in force by one who can look whether the host still works. */
  readonly toDo?: readonly string[];
}

const AGENT_UNIT = 'trysail.service';
const ENVOY_UNIT = 'trysail-envoy.service';
const CAPTURE_UNIT = 'trysail-capture.service';
/** The agent's user in the package. */
const AGENT_USER = 'trysail';

interface Plan {
  readonly settings: AgentSettings;
  readonly description: JoinDescription & { readonly address: string };
  readonly agentYaml: ComposedFile & { readonly path: string; readonly isNew: boolean };
  readonly meshConfig: ComposedFile & { readonly path: string; readonly isNew: boolean };
  /** Undefined: the CA hands none out. */
  readonly fleetRoot: Plan['meshConfig'] | undefined;
  readonly tokenFile: string;
  readonly units: readonly string[];
  readonly hadJoined: boolean;
  /** False: the credential that the host has came from this very token. */
  readonly needsToken: boolean;
}

async function unitsFor(machine: JoinMachine, settings: AgentSettings): Promise<readonly string[]> {
  if (!(await hasUnit(machine, AGENT_UNIT))) return [];
  const { capture, services } = settings;
  const captures =
    capture.outbound !== 'none' ||
    capture.interfaces.length > 0 ||
    services.some(({ inbound }) => inbound?.capture !== undefined);
  return [...(captures ? [CAPTURE_UNIT] : []), ENVOY_UNIT, AGENT_UNIT];
}

/** Everything that can be known without changing anything. Throws what is in the way. */
async function planOf(options: JoinOptions): Promise<Plan> {
  const { configFile, wanted, tokenText, machine, say, signal } = options;
  const { token, trustDomain } = readToken(tokenText);
  const folder = dirname(configFile);
  const existing = await textOf(configFile);
  const paths = { tokenFile: join(folder, 'join.token'), trustDomain };
  // Checked without the name of a file that is only about to be written.
  const checked = composeAgentYaml(existing, wanted, { ...paths, meshConfigFile: undefined });
  const settings = await settingsFrom(configFile, checked.text);
  if (settings.identity.provider !== 'trysail-ca') {
    throw new TrysailError(
      'CONFIGURATION_INVALID',
      `${configFile} says identity.provider: ${settings.identity.provider}`,
      {
        remedy: 'Only hosts with the provider trysail-ca join; remove that setting, or do without joining.',
      },
    );
  }
  const units = await unitsFor(machine, settings);
  if (!options.dryRun) await checkRights(machine, folder, units.length > 0);
  const meshPath = settings.mesh.configFile ?? join(folder, 'meshconfig.yaml');
  const isFoundAnyway = settings.mesh.configFile !== undefined || meshPath === PATHS.meshConfig;
  const existingMesh = await textOf(meshPath);
  if (existingMesh !== undefined) checkTrustDomain(meshPath, existingMesh, trustDomain);
  say(`Asking the CA at ${settings.identity.ca.address ?? token.ca.join(', ')}.`);
  const description = await askCa(settings, tokenText, { say, signal });
  checkEntitlement(settings, description);
  if (settings.registry === 'consul') say(`Asking Consul at ${settings.consul.address}.`);
  await checkConsul(settings);
  const fleetRoot = await fleetRootFor(description.fleetRoot, settings, folder);
  const agentYaml = composeAgentYaml(existing, wanted, {
    ...paths,
    meshConfigFile: isFoundAnyway ? undefined : meshPath,
    fleetRootFile:
      settings.mesh.fleet !== undefined || fleetRoot?.path === PATHS.fleetRoot ? undefined : fleetRoot?.path,
  });
  const credential = await credentialOf(settings, trustDomain);
  const hadJoined = credential !== undefined && credential.facts.notAfterMs > Date.now();
  return {
    settings,
    description,
    agentYaml: { ...agentYaml, path: configFile, isNew: existing === undefined },
    meshConfig: {
      ...composeMeshConfig(existingMesh, description.meshConfig, trustDomain),
      path: meshPath,
      isNew: existingMesh === undefined,
    },
    fleetRoot,
    tokenFile: settings.identity.ca.joinTokenFile ?? join(folder, 'join.token'),
    units,
    hadJoined,
    needsToken: !hadJoined || credential?.tokenId !== token.id,
  };
}

/** Where the fleet's root goes, and what becomes of the file; undefined where there is none, or nobody asks for it. */
async function fleetRootFor(
  given: string | undefined,
  { mesh, registry }: AgentSettings,
  folder: string,
): Promise<Plan['fleetRoot']> {
  if (given === undefined || registry !== 'consul') return undefined;
  const path = mesh.fleet?.trustFile ?? join(folder, 'fleet-root.pem');
  publicKeysOf(given, "the CA's answer");
  const existing = await textOf(path);
  return { ...composeFleetRoot(existing, given), path, isNew: existing === undefined };
}

function checkTrustDomain(path: string, text: string, trustDomain: string): void {
  const { config } = parseMeshConfig(text, path);
  if (config === undefined || config.trustDomain === trustDomain) return;
  throw new TrysailError(
    'TRUST_DOMAIN_MISMATCH',
    `${path} says trustDomain ${config.trustDomain}, the token is for ${trustDomain}`,
    { remedy: `If this host is to change meshes, run "trysail leave" first; else correct the file.` },
  );
}

/** Throws JOIN_FORBIDDEN with the system's reason. */
async function write(path: string, text: string, mode: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await writeFileAtomic(path, text, mode);
  } catch (cause) {
    throw new TrysailError('JOIN_FORBIDDEN', `cannot write ${path}: ${errorMessage(cause)}`, {
      remedy: 'Run this as root, and see to free space on the disk.',
      cause,
    });
  }
}

async function writeConfig(file: Plan['agentYaml']): Promise<void> {
  if (file.added.length === 0 && !file.isNew) return;
  // Without a secret in it, and read by the agent's user as well as by people.
  await write(file.path, file.text, 0o644);
}

async function writeToken(path: string, text: string, machine: JoinMachine, forUnits: boolean): Promise<void> {
  await write(path, `${text.trim()}\n`, 0o600);
  if (!forUnits) return;
  const owner = await account(machine, AGENT_USER);
  if (owner === undefined) {
    throw new TrysailError('UNIT_FAILED', `there is no user ${AGENT_USER}, as which the agent runs`, {
      remedy: 'Install the package again: systemd-sysusers makes it.',
    });
  }
  await chown(path, owner.uid, owner.gid);
}

/** @param options.isNews whether an agent that runs has to start anew: a start costs Envoy nothing */
async function startUnits(
  machine: JoinMachine,
  units: readonly string[],
  { isNews, say }: { readonly isNews: boolean; readonly say: (line: string) => void },
): Promise<void> {
  const restarts = isNews && units.length > 0 && (await isActive(machine, AGENT_UNIT));
  for (const unit of units) {
    const verb = unit === AGENT_UNIT && restarts ? 'restart' : 'start';
    say(`systemctl enable ${unit}; systemctl ${verb} ${unit}`);
    // Not waited for here, so that what is missing can be said meanwhile.
    for (const args of [
      ['enable', unit],
      [verb, '--no-block', unit],
    ]) {
      const { code, err } = await machine.run('systemctl', args);
      if (code === 0) continue;
      throw new TrysailError('UNIT_FAILED', `systemctl ${args.join(' ')} failed: ${err.trim()}`, {
        remedy: `See "systemctl status ${unit}" and "journalctl -u ${unit}".`,
      });
    }
  }
}

const filesOf = ({ agentYaml, meshConfig, fleetRoot }: Plan): readonly Plan['agentYaml'][] => [
  agentYaml,
  meshConfig,
  ...(fleetRoot === undefined ? [] : [fleetRoot]),
];

const changeOf = ({ path, added, kept, isNew }: Plan['agentYaml']): JoinedFile => ({
  path,
  change: isNew ? 'written' : added.length > 0 ? 'completed' : 'unchanged',
  added,
  kept,
});

function reportOf(plan: Plan, state: JoinReport['state']): JoinReport {
  const { settings, description, units, hadJoined } = plan;
  return {
    state,
    hadJoined,
    host: settings.host.name,
    address: settings.host.address,
    trustDomain: description.trustDomain,
    ca: description.address,
    files: filesOf(plan).map(changeOf),
    units,
  };
}

/** Whether an agent answers that nobody of systemd's started; it is told what is new. */
async function foundRunning(socket: string, isNews: boolean, say: (line: string) => void): Promise<boolean> {
  try {
    await callApi(socket, 'status', undefined, { timeoutMs: 3000 });
  } catch {
    return false;
  }
  if (isNews) {
    await callApi(socket, 'reload', undefined).catch((error: unknown) =>
      say(`The running agent does not take the new settings, start it again: ${errorMessage(error)}`),
    );
  }
  return true;
}

/**
 * Joins this host: looks at everything first, then writes, starts and waits. It may be run again at any time.
 * @throws TrysailError JOIN_FORBIDDEN, CONFIGURATION_INVALID, TOKEN_MALFORMED, TRUST_DOMAIN_MISMATCH, CA_UNREACHABLE,
 * CA_ROOT_MISMATCH, JOIN_TOKEN_REFUSED, JOIN_NOT_ENTITLED, CLOCK_AHEAD, CLOCK_BEHIND, CONSUL_…: nothing is changed then;
 * UNIT_FAILED, JOIN_INCOMPLETE: what is written stays, and the same command goes on from there
 */
export async function joinHost(options: JoinOptions): Promise<JoinReport> {
  const { machine, say, signal, tokenText, timeoutMs } = options;
  const plan = await planOf(options);
  const { settings, units, tokenFile } = plan;
  const socket = sockets(settings.paths.run).api;
  const command = `trysail agent --config ${options.configFile}`;
  const byHand = units.length === 0 ? { toStart: command } : {};
  if (options.dryRun) return { ...reportOf(plan, 'planned'), ...byHand };
  // agent.yaml last: it names the others.
  for (const file of filesOf(plan).toReversed()) await writeConfig(file);
  if (plan.needsToken) await writeToken(tokenFile, tokenText, machine, units.length > 0);
  const isNews = plan.needsToken || filesOf(plan).some(({ added }) => added.length > 0);
  const granted = units.length === 0 ? undefined : await grantTproxy(machine, settings);
  if (granted !== undefined) say(granted);
  await startUnits(machine, units, { isNews, say });
  if (units.length === 0 && !(await foundRunning(socket, isNews, say)))
    return { ...reportOf(plan, 'configured'), ...byHand };
  const status = await waitForMesh({ socket, timeoutMs, machine, units, say, signal });
  try {
    await rm(tokenFile, { force: true });
  } catch (error) {
    say(`The used token cannot be removed: ${errorMessage(error)}`);
  }
  const toDo = status.diagnostics.filter(({ code }) => code === 'TRY0110').map(formatDiagnostic);
  return { ...reportOf(plan, 'joined'), certificates: status.certificates, ...(toDo.length > 0 && { toDo }) };
}
