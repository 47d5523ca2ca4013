/** The configuration of all hosts in Consul: begun, published and taken back by the command line, as its owner would. */
import { join } from 'node:path';
import type { Network } from '../machines/network.ts';
import type { Programs } from '../machines/programs.ts';
import { runCommand } from '../machines/run-command.ts';
import { REGISTRY } from '../topology.ts';

export interface Fleet {
  /** File with what hosts trust. */
  readonly trustFile: string;
  /** Runs a command that publishes, such as `['apply', '-f', '-']`, with `input`. Returns what it printed. */
  publish(args: readonly string[], input?: string): Promise<string>;
  /** Runs a command that only reads, such as `['history']`. */
  read(args: readonly string[]): Promise<string>;
}

interface FleetOptions {
  readonly network: Network;
  readonly programs: Programs;
  /** Path of `scripts/trysail`. */
  readonly trysail: string;
  /** Consul's address on the registry machine. */
  readonly consulAddress: string;
}

/** Makes the root and the publisher `admin`. Files of hosts go on counting beside what is published. */
export async function beginFleet({ network, programs, trysail, consulAddress }: FleetOptions): Promise<Fleet> {
  const keys = join(programs.folderOf(REGISTRY), 'fleet');
  const trustFile = join(keys, 'fleet-root.pub.pem');
  const run = (args: readonly string[], input = ''): Promise<string> =>
    runCommand(network.commandOn(REGISTRY, [trysail, ...args, '--consul', consulAddress]), { input });
  await run(['fleet', 'init', '--dir', keys, '--local-resources', 'allow']);
  return {
    trustFile,
    publish: (args, input) => run([...args, '--root', trustFile, '--key', join(keys, 'admin.key')], input),
    read: (args) => run([...args, '--root', trustFile]),
  };
}
