/** Steps of leaving that take rules and links out of the kernel, whoever still runs or does not. */
import { TrysailError } from '../lib/errors.ts';
import { CAPTURE_TABLE } from '../platform/vm/capture-ruleset.ts';
import type { JoinMachine } from './join-machine.ts';
import type { LeaveStep } from './leave-step.ts';

const DNS_LINK = 'trysail0';
/** Missing programs: then there is nothing that they could have made. */
const NO_PROGRAM = 127;

function failed(what: string, err: string): TrysailError {
  return new TrysailError('LEAVE_FAILED', `${what} failed: ${err.trim()}`, { remedy: 'Run this as root.' });
}

/** Our tables: `trysail` and all that begin with `trysail_` (guard, bypass). */
async function tables(machine: JoinMachine): Promise<readonly string[]> {
  const { code, out, err } = await machine.run('nft', ['list', 'tables'], 10_000);
  if (code === NO_PROGRAM) return [];
  if (code !== 0) throw failed('nft list tables', err);
  return out.split('\n').flatMap((line) => {
    const [word, family = '', name = ''] = line.trim().split(/\s+/);
    const ours = name === CAPTURE_TABLE || name.startsWith(`${CAPTURE_TABLE}_`);
    return word === 'table' && ours ? [`${family} ${name}`] : [];
  });
}

export function rulesStep(machine: JoinMachine): LeaveStep {
  return {
    what: 'The rules of capture, its guard and bypass are gone',
    isUndone: async () => (await tables(machine)).length === 0,
    undo: async () => {
      for (const table of await tables(machine)) {
        const { code, err } = await machine.run('nft', ['delete', 'table', ...table.split(' ')], 10_000);
        // The holder's end has removed it meanwhile.
        if (code !== 0 && !/No such file/.test(err)) throw failed(`nft delete table ${table}`, err);
      }
    },
  };
}

async function hasLink(machine: JoinMachine): Promise<boolean> {
  return (await machine.run('ip', ['link', 'show', 'dev', DNS_LINK], 10_000)).code === 0;
}

export function linkStep(machine: JoinMachine): LeaveStep {
  return {
    what: `Mesh names are out of the resolver (link ${DNS_LINK})`,
    isUndone: async () => !(await hasLink(machine)),
    undo: async () => {
      const { code, err } = await machine.run('ip', ['link', 'del', 'dev', DNS_LINK], 10_000);
      if (code !== 0) throw failed(`ip link del ${DNS_LINK}`, err);
    },
  };
}
