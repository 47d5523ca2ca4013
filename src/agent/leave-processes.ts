/** Steps of leaving that end the agent, Envoy and their units. */
import { readFile } from 'node:fs/promises';
import { callApi } from '../api/client.ts';
import { launcherFiles } from '../envoy/files.ts';
import { commandLine, identify, isRunning } from '../envoy/process-identity.ts';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import { removeTproxyDropIn, TPROXY_DROP_IN } from '../platform/vm/envoy-privileges.ts';
import { sockets } from '../platform/vm/paths.ts';
import { isActive, type JoinMachine } from './join-machine.ts';
import { exists } from './leave-removal.ts';
import type { LeaveStep } from './leave-step.ts';
import type { LeaveTarget } from './leave-target.ts';

const POLL_MS = 100;
/** Beyond what the agent allows for draining, which is 45 s at most. */
const END_MS = 75_000;
/** After SIGKILL, which takes effect at once unless the kernel itself hangs. */
const KILLED_MS = 5000;
/** The server is a role of its own: a machine may leave the mesh and go on being its CA. */
const SERVER_UNIT = 'trysail-server.service';

/** Names of our units that systemd knows, the server's excepted. */
async function ourUnits(machine: JoinMachine): Promise<readonly string[]> {
  if (!machine.hasSystemd) return [];
  const names: string[] = [];
  // Units of the package, and transient ones (a bypass that ends by itself).
  for (const verb of ['list-unit-files', 'list-units']) {
    const args = [verb, '--all', '--plain', '--no-legend', '--no-pager', 'trysail*'];
    const { out } = await machine.run('systemctl', args, 10_000);
    names.push(...out.split('\n').map((line) => line.trim().split(/\s+/)[0] ?? ''));
  }
  return [...new Set(names)].filter((name) => /^trysail[a-z0-9@-]*\.\w+$/.test(name) && name !== SERVER_UNIT);
}

async function systemctl(machine: JoinMachine, ...args: readonly string[]): Promise<void> {
  const { code, err } = await machine.run('systemctl', args);
  if (code === 0) return;
  throw new TrysailError('LEAVE_FAILED', `systemctl ${args.join(' ')} failed: ${err.trim()}`, {
    remedy: 'Run this as root, and see "systemctl status" of the unit.',
  });
}

async function agentPid({ settings }: LeaveTarget): Promise<number | undefined> {
  if (settings === undefined) return undefined;
  try {
    const { agent } = await callApi(sockets(settings.paths.run).api, 'status', undefined, { timeoutMs: 3000 });
    return agent.pid;
  } catch {
    return undefined;
  }
}

/** SIGTERM, and SIGKILL to what has not ended in time. @throws TrysailError `LEAVE_FAILED` when neither helps */
async function endProcess(pid: number, timeoutMs: number): Promise<void> {
  const identity = identify(pid);
  if (identity === undefined) return;
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error;
    }
  };
  signal('SIGTERM');
  const endMs = performance.now() + timeoutMs;
  while (isRunning(identity)) {
    const overdueMs = performance.now() - endMs;
    if (overdueMs > KILLED_MS) {
      throw new TrysailError('LEAVE_FAILED', `process ${pid} does not end, not even by SIGKILL`, {
        remedy: 'It waits for the kernel (a disk?). Run this again when it has ended.',
      });
    }
    if (overdueMs > 0) signal('SIGKILL');
    await sleep(POLL_MS);
  }
}

/** The agent first: what it would put right again is about to be taken away. */
export function agentStep(machine: JoinMachine, target: LeaveTarget): LeaveStep {
  const unit = 'trysail.service';
  return {
    what: 'The agent has ended',
    isUndone: async () =>
      !(machine.hasSystemd && (await isActive(machine, unit))) && (await agentPid(target)) === undefined,
    undo: async () => {
      if (machine.hasSystemd && (await isActive(machine, unit))) await systemctl(machine, 'stop', unit);
      const pid = await agentPid(target);
      if (pid !== undefined) await endProcess(pid, END_MS);
    },
  };
}

async function launcherPid(dir: string): Promise<number | undefined> {
  const pid = Number(await readFile(launcherFiles(dir).pid, 'utf8').catch(() => ''));
  return pid > 0 && commandLine(pid).includes(dir) && identify(pid) !== undefined ? pid : undefined;
}

/** Units that end in this order: draining comes before the end of Envoy, and the rules hold until then. */
const ENDING = ['trysail-drain.service', 'trysail-envoy.service'] as const;

/** Ends Envoy once it has drained: systemd's, and one that an agent started for itself. */
export function envoyStep(machine: JoinMachine, { runDirs }: LeaveTarget): LeaveStep {
  const active = async (): Promise<readonly string[]> => {
    if (!machine.hasSystemd) return [];
    const found = await Promise.all(ENDING.map(async (unit) => ((await isActive(machine, unit)) ? [unit] : [])));
    return found.flat();
  };
  const launchers = async (): Promise<readonly number[]> => {
    const pids = await Promise.all(runDirs.map(launcherPid));
    return pids.filter((pid) => pid !== undefined);
  };
  return {
    what: 'Envoy has drained and ended',
    isUndone: async () => (await active()).length === 0 && (await launchers()).length === 0,
    undo: async () => {
      for (const unit of await active()) await systemctl(machine, 'stop', unit);
      // One that an agent started for itself and that has outlived it.
      for (const pid of await launchers()) await endProcess(pid, END_MS);
    },
  };
}

/** All the others, and that none comes back with the next boot. */
export function unitsStep(machine: JoinMachine): LeaveStep {
  const left = async (): Promise<readonly { readonly unit: string; readonly verb: 'stop' | 'disable' }[]> => {
    const found: { readonly unit: string; readonly verb: 'stop' | 'disable' }[] = [];
    for (const unit of await ourUnits(machine)) {
      if (await isActive(machine, unit)) found.push({ unit, verb: 'stop' });
      const { out } = await machine.run('systemctl', ['is-enabled', unit], 10_000);
      if (out.trim().startsWith('enabled')) found.push({ unit, verb: 'disable' });
    }
    return found;
  };
  return {
    what: 'No unit of Trysail runs, or starts with the next boot',
    ...(machine.hasSystemd ? {} : { skip: 'systemd does not run here' }),
    isUndone: async () => (await left()).length === 0,
    undo: async () => {
      const units = await left();
      for (const { unit, verb } of units) await systemctl(machine, verb, unit);
      for (const unit of new Set(units.map((one) => one.unit)))
        await machine.run('systemctl', ['reset-failed', unit], 10_000);
      return [...new Set(units.map(({ unit }) => unit))].join(', ');
    },
  };
}

/** What capture with `tproxy` needed Envoy to be allowed. */
export function privilegeStep(machine: JoinMachine): LeaveStep {
  return {
    what: 'Envoy’s unit has the privileges of the package alone',
    ...(machine.hasSystemd ? {} : { skip: 'systemd does not run here' }),
    isUndone: async () => !(await exists(TPROXY_DROP_IN)),
    undo: async () => {
      await removeTproxyDropIn();
      await systemctl(machine, 'daemon-reload');
      return TPROXY_DROP_IN;
    },
  };
}
