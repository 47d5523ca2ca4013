/** What tests ask of the machines of a mesh: of the hub with Consul's server and the CA, and of the hosts. */
import type { Status } from '../../src/api/status.ts';
import { eventually } from '../support/eventually.ts';
import type { Machine } from './machine.ts';

/** Resolves when the Consul agent of a machine knows a leader. */
export async function untilConsulLeads(machine: Machine): Promise<void> {
  await eventually(
    `Consul on ${machine.name} knows a leader`,
    async () => machine.run('curl -sSf -m 2 http://127.0.0.1:8500/v1/status/leader | grep :'),
    // Consul tries a server that it takes for failed again every half minute, and not each time.
    120_000,
  );
}

/** Resolves when the CA on the hub answers. */
export async function untilCaAnswers(hub: Machine): Promise<void> {
  await eventually('the CA answers', async () => hub.run(`trysail ca status --address ${hub.address}:15012`));
}

/** A join token of the CA, good for one host. @param allow identities that it may have; default: all of `default` */
export async function joinToken(hub: Machine, allow: readonly string[] = ['default/*']): Promise<string> {
  const patterns = allow.map((pattern) => `--allow '${pattern}'`).join(' ');
  return (await hub.run(`trysail token create --ca-address ${hub.address}:15012 ${patterns}`)).trim();
}

/** The agent's status, as `trysail status -o json` says it. */
export async function statusOf(host: Machine): Promise<Status> {
  const { stdout } = await host.try('trysail status -o json');
  return JSON.parse(stdout) as Status;
}
