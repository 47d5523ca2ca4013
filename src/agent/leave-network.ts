/** Steps of leaving that take rules, routes and links out of the kernel, whoever still runs or does not. */
import { TrysailError } from '../lib/errors.ts';
import { PASSTHROUGH_ADDRESSES, TPROXY_MARK, TPROXY_ROUTE_TABLE } from '../platform/vm/capture-plan.ts';
import { CAPTURE_TABLE } from '../platform/vm/capture-ruleset.ts';
import { readBypassState } from './bypass-state.ts';
import type { JoinMachine } from './join-machine.ts';
import type { LeaveStep } from './leave-step.ts';
import type { LeaveTarget } from './leave-target.ts';

const DNS_LINK = 'trysail0';
/** Missing programs: then there is nothing that they could have made. */
const NO_PROGRAM = 127;
const TIMEOUT_MS = 10_000;
/** More of our routing rules than this there never are. */
const MOST_RULES = 8;
const FAMILIES = ['-4', '-6'] as const;

async function run(machine: JoinMachine, ...line: readonly [string, ...string[]]): Promise<string> {
  const [program, ...args] = line;
  const { code, out, err } = await machine.run(program, args, TIMEOUT_MS);
  if (code === 0) return out;
  if (code === NO_PROGRAM) return '';
  throw new TrysailError('LEAVE_FAILED', `${line.join(' ')} failed: ${err.trim()}`, { remedy: 'Run this as root.' });
}

/** Our tables: `trysail` and all that begin with `trysail_` (guard, bypass). */
async function tables(machine: JoinMachine): Promise<readonly string[]> {
  return (await run(machine, 'nft', 'list', 'tables')).split('\n').flatMap((line) => {
    const [word, family = '', name = ''] = line.trim().split(/\s+/);
    const ours = name === CAPTURE_TABLE || name.startsWith(`${CAPTURE_TABLE}_`);
    return word === 'table' && ours ? [`${family} ${name}`] : [];
  });
}

async function hasRoutingRule(machine: JoinMachine, family: string): Promise<boolean> {
  const ours = new RegExp(`fwmark 0x${TPROXY_MARK.toString(16)} lookup ${TPROXY_ROUTE_TABLE}\\b`);
  // A kernel without a family has none of its rules.
  return ours.test(await run(machine, 'ip', family, 'rule', 'list').catch(() => ''));
}

async function hasPassthroughAddress(machine: JoinMachine): Promise<boolean> {
  const out = await run(machine, 'ip', '-6', 'address', 'show', 'dev', 'lo').catch(() => '');
  return out.includes(` ${PASSTHROUGH_ADDRESSES[1]}/128 `);
}

/** What capture, its guard and a bypass leave in the kernel when nobody is there to take it back. */
export function rulesStep(machine: JoinMachine, { bypassDirs }: LeaveTarget): LeaveStep {
  const changedSysctl = async (): Promise<boolean> => {
    const states = await Promise.all(bypassDirs.map(readBypassState));
    return states.some(({ restoreRouteLocalnet }) => restoreRouteLocalnet);
  };
  let isRestored = false;
  return {
    what: 'The rules of capture, its guard and bypass are gone',
    isUndone: async () =>
      (await tables(machine)).length === 0 &&
      !(await Promise.all(FAMILIES.map(async (family) => hasRoutingRule(machine, family)))).some(Boolean) &&
      !(await hasPassthroughAddress(machine)) &&
      (isRestored || !(await changedSysctl())),
    undo: async () => {
      const found = await tables(machine);
      for (const table of found) {
        const { code, err } = await machine.run('nft', ['delete', 'table', ...table.split(' ')], TIMEOUT_MS);
        // The holder's end has removed it meanwhile.
        if (code === 0 || /No such file/.test(err)) continue;
        throw new TrysailError('LEAVE_FAILED', `nft delete table ${table} failed: ${err.trim()}`, {
          remedy: 'Run this as root; a table with an owner goes with the process that "nft list tables" names.',
        });
      }
      const table = String(TPROXY_ROUTE_TABLE);
      for (const family of FAMILIES) {
        for (let i = 0; i < MOST_RULES && (await hasRoutingRule(machine, family)); i += 1) {
          await run(machine, 'ip', family, 'rule', 'del', 'fwmark', String(TPROXY_MARK), 'lookup', table);
          await machine.run('ip', [family, 'route', 'flush', 'table', table], TIMEOUT_MS);
        }
      }
      if (await hasPassthroughAddress(machine)) {
        await run(machine, 'ip', '-6', 'address', 'del', `${PASSTHROUGH_ADDRESSES[1]}/128`, 'dev', 'lo');
      }
      if (await changedSysctl()) {
        await run(machine, 'sh', '-c', 'echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet');
        isRestored = true;
      }
      return found.join(', ');
    },
  };
}

async function hasLink(machine: JoinMachine): Promise<boolean> {
  return (await machine.run('ip', ['link', 'show', 'dev', DNS_LINK], TIMEOUT_MS)).code === 0;
}

/** Removes the link `trysail0`, by which the resolver finds names of the mesh. */
export function linkStep(machine: JoinMachine): LeaveStep {
  return {
    what: `Mesh names are out of the resolver (link ${DNS_LINK})`,
    isUndone: async () => !(await hasLink(machine)),
    undo: async () => {
      await run(machine, 'ip', 'link', 'del', 'dev', DNS_LINK);
    },
  };
}
