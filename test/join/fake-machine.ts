/** A machine whose systemd, nft and ip exist in memory alone; programs that units run are real where a test says so. */
import type { JoinMachine, ProgramResult } from '../../src/agent/join-machine.ts';

export interface FakeMachine extends JoinMachine {
  /** Every command line, in order. */
  readonly calls: string[];
  readonly active: Set<string>;
  readonly enabled: Set<string>;
  readonly failed: Set<string>;
  /** `family name` of nftables' tables. */
  readonly tables: Set<string>;
  readonly links: Set<string>;
  /** What `ip rule` and `ip address` show besides, by family: lines. */
  readonly routing: Map<string, readonly string[]>;
  /** Command lines, by their beginning, that fail with this text. */
  readonly broken: Map<string, string>;
  hasSystemd: boolean;
  /** What happens besides when a unit starts or stops. */
  onStart: (unit: string) => void;
  onStop: (unit: string) => Promise<void>;
}

const UNITS = [
  'trysail.service',
  'trysail-envoy.service',
  'trysail-drain.service',
  'trysail-capture.service',
  'trysail-dns.path',
  'trysail-dns.service',
  'trysail-server.service',
];

export function fakeMachine(): FakeMachine {
  const ok = (out = ''): ProgramResult => ({ code: 0, out, err: '' });
  const no = (err = '', code = 1): ProgramResult => ({ code, out: '', err });
  async function systemctl(args: readonly string[]): Promise<ProgramResult> {
    const [verb = '', ...rest] = args.filter((arg) => !arg.startsWith('-'));
    const [unit = ''] = rest;
    switch (verb) {
      case 'cat':
        return UNITS.includes(unit) ? ok() : no('No files found');
      case 'is-active':
        return machine.active.has(unit) ? ok('active\n') : { code: 3, out: 'inactive\n', err: '' };
      case 'is-failed':
        return machine.failed.has(unit) ? ok() : no();
      case 'is-enabled':
        return machine.enabled.has(unit) ? ok('enabled\n') : { code: 1, out: 'disabled\n', err: '' };
      case 'list-unit-files':
        return ok(UNITS.map((name) => `${name} enabled enabled\n`).join(''));
      case 'list-units':
        return ok([...machine.active].map((name) => `${name} loaded active running Something\n`).join(''));
      case 'enable':
        machine.enabled.add(unit);
        return ok();
      case 'disable':
        machine.enabled.delete(unit);
        return ok();
      case 'restart':
        if (machine.active.has(unit)) await machine.onStop(unit);
        machine.active.add(unit);
        machine.onStart(unit);
        return ok();
      case 'start':
        if (!machine.active.has(unit)) machine.onStart(unit);
        machine.active.add(unit);
        return ok();
      case 'stop':
        await machine.onStop(unit);
        machine.active.delete(unit);
        return ok();
      default:
        return verb === 'reset-failed' ? ok() : no(`unknown verb ${verb}`);
    }
  }
  const machine: FakeMachine = {
    calls: [],
    active: new Set(),
    enabled: new Set(),
    failed: new Set(),
    tables: new Set(),
    links: new Set(),
    routing: new Map(),
    broken: new Map(),
    hasSystemd: true,
    uid: 0,
    onStart: () => undefined,
    onStop: async () => undefined,
    run: async (program, args) => {
      const line = [program, ...args].join(' ');
      machine.calls.push(line);
      for (const [beginning, err] of machine.broken) if (line.startsWith(beginning)) return no(err);
      if (program === 'systemctl') return systemctl(args);
      if (program === 'getent') {
        return ok(`trysail:x:${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}::/:/bin/false\n`);
      }
      if (program === 'nft' && args[0] === 'list')
        return ok([...machine.tables].map((table) => `table ${table}\n`).join(''));
      if (program === 'nft')
        return machine.tables.delete(args.slice(2).join(' ')) ? ok() : no('No such file or directory');
      if (program === 'ip' && (args[1] === 'rule' || args[1] === 'address')) {
        const [family = '', what = '', verb] = args;
        const lines = machine.routing.get(`${family} ${what}`) ?? [];
        if (verb === 'del') machine.routing.set(`${family} ${what}`, lines.slice(1));
        return ok(lines.join('\n'));
      }
      if (program === 'ip' && args[1] === 'route') return ok();
      if (program === 'sh') return ok();
      const link = args.at(-1) ?? '';
      if (program === 'ip' && args[1] === 'show') return machine.links.has(link) ? ok() : no('does not exist');
      if (program === 'ip' && args[1] === 'del') return machine.links.delete(link) ? ok() : no('does not exist');
      return no(`there is no program ${program}`, 127);
    },
  };
  return machine;
}
