/** `trysail leave`: takes a host out of its mesh and undoes everything that joining and the agent did to it. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { JoinMachine } from './join-machine.ts';
import { checkRights } from './join-preflight.ts';
import { linkStep, rulesStep } from './leave-network.ts';
import { agentStep, envoyStep, privilegeStep, unitsStep } from './leave-processes.ts';
import { exists, isEmpty, removeFolder } from './leave-removal.ts';
import { consulStep, credentialStep } from './leave-services.ts';
import type { LeaveStep } from './leave-step.ts';
import { type LeaveTarget, leaveTarget } from './leave-target.ts';

export interface LeaveResult {
  readonly what: string;
  /** `already`: it was so. `planned`: a dry run would change it. */
  readonly outcome: 'done' | 'already' | 'skipped' | 'failed' | 'planned';
  /** What exactly, why not, or what went wrong. */
  readonly detail?: string;
  readonly remedy?: string;
}

export interface LeaveOptions {
  /** Path of agent.yaml. */
  readonly configFile: string;
  /** Leaves agent.yaml, meshconfig.yaml and the resources where they are. */
  readonly keepConfig: boolean;
  readonly dryRun: boolean;
  readonly machine: JoinMachine;
  /** Called with each step's result as it comes. */
  readonly onResult: (result: LeaveResult) => void;
  readonly signal: AbortSignal;
}

/** Without agent.yaml, and with a `--config` of the user's own, nobody knows where things are. */
function unknownStep(what: string): LeaveStep {
  const skip = 'without agent.yaml it is not known where they are';
  return { what, skip, isUndone: async () => true, undo: async () => undefined };
}

function stateStep({ stateDir }: LeaveTarget): LeaveStep {
  if (stateDir === undefined) return unknownStep('Keys, credential and last good configuration are gone');
  return {
    what: `Keys, credential and last good configuration are gone (${stateDir})`,
    isUndone: async () => isEmpty(stateDir),
    undo: async () => removeFolder(stateDir),
  };
}

function runStep({ runDirs: processDirs, bypassDirs }: LeaveTarget): LeaveStep {
  const runDirs = [...processDirs, ...bypassDirs];
  if (runDirs.length === 0) return unknownStep('Sockets and process files are gone');
  return {
    what: `Sockets and process files are gone (${runDirs.join(', ')})`,
    isUndone: async () => (await Promise.all(runDirs.map(isEmpty))).every(Boolean),
    undo: async () => {
      for (const dir of runDirs) await removeFolder(dir);
    },
  };
}

function configStep({ configFiles }: LeaveTarget, keepConfig: boolean): LeaveStep {
  return {
    what: 'The configuration is gone',
    ...(keepConfig ? { skip: `--keep-config: ${configFiles.join(', ')}` } : {}),
    isUndone: async () => !(await Promise.all(configFiles.map(exists))).some(Boolean),
    undo: async () => {
      for (const file of configFiles) await rm(file, { force: true });
      return configFiles.join(', ');
    },
  };
}

/** In the order in which they are taken: who would put things back ends first, what is needed to tell others goes last. */
function leaveSteps(target: LeaveTarget, options: LeaveOptions): readonly LeaveStep[] {
  const { machine, keepConfig, signal } = options;
  return [
    agentStep(machine, target),
    consulStep(target),
    envoyStep(machine, target),
    unitsStep(machine),
    privilegeStep(machine),
    rulesStep(machine, target),
    linkStep(machine),
    credentialStep(target, signal),
    stateStep(target),
    runStep(target),
    configStep(target, keepConfig),
  ];
}

async function take(step: LeaveStep, dryRun: boolean): Promise<LeaveResult> {
  const { what, skip } = step;
  if (skip !== undefined) return { what, outcome: 'skipped', detail: skip };
  try {
    if (await step.isUndone()) return { what, outcome: 'already' };
    if (dryRun) return { what, outcome: 'planned' };
    const detail = await step.undo();
    if (!(await step.isUndone())) return { what, outcome: 'failed', detail: 'it is not so, although nothing failed' };
    return { what, outcome: 'done', ...(typeof detail === 'string' && detail !== '' ? { detail } : {}) };
  } catch (error) {
    const remedy = error instanceof TrysailError ? error.remedy : undefined;
    return { what, outcome: 'failed', detail: errorMessage(error), ...(remedy === undefined ? {} : { remedy }) };
  }
}

/**
 * Undoes one thing after the other; what fails is reported, and the others go on. It may be run again at any time.
 * @throws TrysailError JOIN_FORBIDDEN when this user may not: nothing is changed then
 */
export async function leaveMesh(options: LeaveOptions): Promise<readonly LeaveResult[]> {
  const { configFile, machine, dryRun, onResult } = options;
  const target = await leaveTarget(configFile);
  if (!dryRun) await checkRights(machine, dirname(configFile), machine.hasSystemd);
  for (const note of target.notes) onResult({ what: 'agent.yaml', outcome: 'skipped', detail: note });
  const results: LeaveResult[] = [];
  for (const step of leaveSteps(target, options)) {
    const result = await take(step, dryRun);
    results.push(result);
    onResult(result);
  }
  return results;
}
