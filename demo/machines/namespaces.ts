/**
 * Machines as network namespaces, for root: each joined by a veth pair to a bridge in a namespace of its own, so that
 * nothing of the network shows in, or can collide with, the computer's own interfaces and routes.
 */
import type { Machine } from '../topology.ts';
import type { Network } from './network.ts';
import { runCommand } from './run-command.ts';

const SUBNET = '10.77.0';

/** All namespaces of a run are called `<prefix>-<machine>`. */
export function namespacePrefix(runId: string): string {
  return `trysail-${runId}`;
}

/** Creates the namespaces and links of a run. What was made before a failure is removed again. */
export async function createNamespaces(runId: string, machines: readonly Machine[]): Promise<Network> {
  const prefix = namespacePrefix(runId);
  const hub = `${prefix}-hub`;
  const namespaceOf = (machine: Machine): string => `${prefix}-${machine.name}`;
  const portOf = (machine: Machine): string => `vm${machine.octet}`;
  const setLink = async (machine: Machine, state: 'up' | 'down'): Promise<void> => {
    await runCommand(['ip', '-n', hub, 'link', 'set', portOf(machine), state]);
  };

  try {
    await batch([], [`netns add ${hub}`, ...machines.map((machine) => `netns add ${namespaceOf(machine)}`)]);
    await batch(
      [],
      machines.map(
        (machine) =>
          `link add name eth0 netns ${namespaceOf(machine)} type veth peer name ${portOf(machine)} netns ${hub}`,
      ),
    );
    await batch(
      ['-n', hub],
      [
        'link add br0 type bridge',
        'link set br0 up',
        ...machines.flatMap((machine) => [`link set ${portOf(machine)} master br0`, `link set ${portOf(machine)} up`]),
      ],
    );
    await Promise.all(
      machines.map((machine) =>
        batch(
          ['-n', namespaceOf(machine)],
          [
            'link set lo up',
            `address add ${SUBNET}.${machine.octet}/24 dev eth0`,
            'link set eth0 up',
            `route add default via ${SUBNET}.1`,
          ],
        ),
      ),
    );
  } catch (error) {
    await removeNamespaces(runId);
    throw error;
  }

  return {
    mode: 'namespaces',
    addressOf: (machine) => `${SUBNET}.${machine.octet}`,
    loopbackOf: () => '127.0.0.1',
    commandOn: (machine, argv) => ['ip', 'netns', 'exec', namespaceOf(machine), ...argv],
    processIds: () => namespaceProcesses(runId),
    cut: (machine) => setLink(machine, 'down'),
    mend: (machine) => setLink(machine, 'up'),
    remove: () => removeNamespaces(runId),
  };
}

/** Runs `ip` commands, one a line, in one process. */
async function batch(options: readonly string[], lines: readonly string[]): Promise<void> {
  await runCommand(['ip', ...options, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function namespacesOf(runId: string): Promise<readonly string[]> {
  const prefix = `${namespacePrefix(runId)}-`;
  const listing = await runCommand(['ip', 'netns', 'list']);
  return listing
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(prefix));
}

/** Ids of the processes in a run's namespaces. */
export async function namespaceProcesses(runId: string): Promise<readonly number[]> {
  const lists = await Promise.all(
    (await namespacesOf(runId)).map((name) => runCommand(['ip', 'netns', 'pids', name]).catch(() => '')),
  );
  return lists
    .join('\n')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

/** Deletes a run's namespaces, and with them their links. */
export async function removeNamespaces(runId: string): Promise<void> {
  for (const name of await namespacesOf(runId)) await runCommand(['ip', 'netns', 'delete', name]);
}
