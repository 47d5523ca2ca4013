/** The programs that the demo runs on its machines, each with a log file, and how they are stopped again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from '../topology.ts';
import type { Network } from './network.ts';
import { RUN_VARIABLE, signalProcess } from './process-table.ts';
import type { RunFolder } from './run-folder.ts';

export interface Program {
  readonly role: string;
  readonly machine: Machine;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves with the exit code or signal when it has ended. */
  readonly ended: Promise<number | string>;
  /** Whether it has ended. */
  hasEnded(): boolean;
  /** Sends a signal and waits for the end, at most `timeoutMs`; then SIGKILL. */
  end(signal: NodeJS.Signals, timeoutMs?: number): Promise<void>;
}

export class Programs {
  readonly #network: Network;
  readonly #run: RunFolder;
  readonly #running = new Set<Program>();

  constructor(network: Network, run: RunFolder) {
    this.#network = network;
    this.#run = run;
  }

  /** The folder of a machine, made when it is first asked for. */
  folderOf(machine: Machine): string {
    const folder = join(this.#run.path, 'machines', machine.name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** Starts a program on a machine. Its output goes to `<machine>/<role>.log`, appended to what is there. */
  start(machine: Machine, role: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
    const folder = this.folderOf(machine);
    const logFile = join(folder, `${role}.log`);
    const log = openSync(logFile, 'a');
    const [command = '', ...args] = this.#network.commandOn(machine, argv);
    // In a process group of its own: Ctrl-C is for the demo, which stops its programs in order.
    const child = spawn(command, args, {
      cwd: folder,
      detached: true,
      env: { ...process.env, [RUN_VARIABLE]: this.#run.path, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const program = programOf(child, machine, role, logFile);
    this.#running.add(program);
    void program.ended.then(() => this.#running.delete(program));
    return program;
  }

  /** Ends all programs, those started last first. */
  async stop(): Promise<void> {
    const latestFirst = [...this.#running].toReversed();
    await Promise.all(latestFirst.map((program) => program.end('SIGTERM', 5000)));
  }
}

function programOf(child: ChildProcess, machine: Machine, role: string, logFile: string): Program {
  let over = false;
  const ended = new Promise<number | string>((resolve) => {
    const finish = (outcome: number | string): void => {
      over = true;
      resolve(outcome);
    };
    child.once('error', (error) => finish(error.message));
    child.once('exit', (code, signal) => finish(code ?? signal ?? 'unknown'));
  });
  const pid = child.pid ?? 0;
  return {
    role,
    machine,
    pid,
    logFile,
    ended,
    hasEnded: () => over,
    end: async (signal, timeoutMs = 5000) => {
      if (over || pid === 0) return;
      signalProcess(pid, signal);
      const timer = setTimeout(() => signalProcess(pid, 'SIGKILL'), timeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** The last lines of a program's log, for messages about its failure. */
export async function logTail(program: Program, lines = 20): Promise<string> {
  const text = await readFile(program.logFile, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}
