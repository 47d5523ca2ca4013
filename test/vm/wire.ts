/** What passes on the wire of a test machine, captured outside of it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { outputOf } from './command.ts';
import type { Machine } from './machine.ts';
import type { MachineNetwork } from './network.ts';

const INSTALL_MS = 300_000;

/** A capture. What passed an instant ago may not be in its file yet: wait for the last frame that must be. */
export interface Wire {
  /**
   * One line of the named fields, separated by tabs, for each frame that a display filter of Wireshark's lets pass. May
   * fail while the capture goes on.
   */
  frames(filter: string, ...fields: readonly string[]): Promise<readonly string[]>;
  /** Ends the capture. */
  stop(): Promise<void>;
}

/** Undefined when tshark is there, or could be installed; else the reason why not. */
export async function noTshark(): Promise<string | undefined> {
  return outputOf(join(ROOT, 'scripts/package-tools'), ['tshark'], { timeoutMs: INSTALL_MS }).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

/** Captures everything that a machine sends and receives. */
export async function captureWire(
  t: Pick<TestContext, 'after'>,
  network: MachineNetwork,
  machine: Machine,
): Promise<Wire> {
  const file = join(await tempDir(t), 'wire.pcapng');
  // The machine's cable, at its end outside.
  const child = spawn(
    'nsenter',
    ['-t', String(network.holderPid), '-n', 'tshark', '-q', '-i', `vb-${machine.name}`, '-w', file],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  t.after(() => child.kill('SIGKILL'));
  await eventually('tshark captures', () => {
    if (child.exitCode !== null) throw new Error(said);
    return said.includes('Capture started');
  });
  return {
    frames: async (filter, ...fields) => {
      const named = fields.flatMap((field) => ['-e', field]);
      const text = await outputOf('tshark', ['-r', file, '-Y', filter, '-T', 'fields', ...named]);
      return text.split('\n').filter((line) => line !== '');
    },
    stop: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}
