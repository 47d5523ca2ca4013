/** `trysail join`: makes a host with nothing but the package a member of a mesh. */
import { chown, mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { callApi } from '../api/client.ts';
import type { Status } from '../api/status.ts';
import { writeFileAtomic } from '../lib/atomic-file.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { sockets } from '../platform/vm/paths.ts';
import { account, type JoinMachine } from './join-machine.ts';
import { type JoinOptions, type JoinPlan, planJoin } from './join-plan.ts';
import { startUnits } from './join-units.ts';
import { waitForMesh } from './join-wait.ts';
import { grantTproxy } from './tproxy-privilege.ts';

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

/** The agent's user in the package. */
const AGENT_USER = 'trysail';

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

async function writeConfig(file: JoinPlan['agentYaml']): Promise<void> {
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

const filesOf = ({ agentYaml, meshConfig, fleetRoot }: JoinPlan): readonly JoinPlan['agentYaml'][] => [
  agentYaml,
  meshConfig,
  ...(fleetRoot === undefined ? [] : [fleetRoot]),
];

const changeOf = ({ path, added, kept, isNew }: JoinPlan['agentYaml']): JoinedFile => ({
  path,
  change: isNew ? 'written' : added.length > 0 ? 'completed' : 'unchanged',
  added,
  kept,
});

function reportOf(plan: JoinPlan, state: JoinReport['state']): JoinReport {
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
  const plan = await planJoin(options);
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
