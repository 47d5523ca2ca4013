/** A host that consists of what a test says of it. */
import type {
  CheckOutcome,
  DnsAnswer,
  FileFacts,
  HostCheck,
  HostIo,
  HostNeeds,
  Listener,
  RunResult,
} from '../../src/platform/vm/checks/host-check.ts';

export interface FakeHost {
  readonly files?: Readonly<Record<string, string>>;
  /** Folders by path, each with its names. */
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly modes?: Readonly<Record<string, Partial<FileFacts>>>;
  /** By the whole command line; a text is the standard output of a success. */
  readonly programs?: Readonly<Record<string, string | Partial<RunResult>>>;
  readonly tcp?: readonly Partial<Listener>[];
  readonly udp?: readonly Partial<Listener>[];
  readonly dns?: (server: string, name: string) => DnsAnswer;
  readonly sockets?: Readonly<Record<string, unknown>>;
  readonly links?: Readonly<Record<string, string>>;
  readonly freeMb?: number;
  readonly freeFiles?: number;
  readonly uid?: number;
}

const listener = (given: Partial<Listener>): Listener => ({
  address: '127.0.0.1',
  port: 0,
  uid: 0,
  pid: 100,
  program: 'nginx',
  ...given,
});

/** Where a fake host has nothing to say, it has nothing. */
export function fakeHost(facts: FakeHost): HostIo {
  const { files = {}, folders = {}, modes = {}, programs = {}, sockets = {}, links = {} } = facts;
  const MB = 1024 * 1024;
  return {
    read: async (path) => files[path],
    list: async (path) => folders[path],
    stat: async (path) => {
      if (!(path in files) && !(path in folders) && !(path in modes) && !(path in sockets)) return undefined;
      return { kind: path in folders ? 'folder' : 'file', mode: 0o600, uid: 0, gid: 0, ...modes[path] };
    },
    target: async (path) => links[path] ?? (path in files ? path : undefined),
    space: async () => ({
      freeBytes: (facts.freeMb ?? 50_000) * MB,
      totalBytes: 100_000 * MB,
      freeFiles: facts.freeFiles ?? 1_000_000,
      totalFiles: 2_000_000,
    }),
    run: async (program, args) => {
      const found = programs[[program, ...args].join(' ')] ?? programs[program];
      if (found === undefined) return undefined;
      return { code: 0, stdout: '', stderr: '', ...(typeof found === 'string' ? { stdout: found } : found) };
    },
    listeners: async (protocol) => (facts[protocol] ?? []).map(listener),
    ask: async (server, name) => facts.dns?.(server, name) ?? { error: 'ENOTFOUND' },
    getJson: async (socket) => sockets[socket],
    addresses: () => ['127.0.0.1', '::1', '10.0.0.5'],
    uid: facts.uid ?? 0,
    now: () => Date.parse('2026-06-01T12:00:00Z'),
  };
}

const NEEDS: HostNeeds = {
  known: true,
  hostAddress: '10.0.0.5',
  ports: [],
  dialled: [],
  applications: [],
  capture: { redirect: false, cgroup: false, tproxy: false },
  units: [],
  users: [],
  interfaces: [],
  dns: undefined,
  paths: { config: '/etc/trysail/agent.yaml', state: '/var/lib/trysail', run: '/run/trysail' },
  secrets: [],
  envoyPids: [],
};

export const needsWith = (given: Partial<HostNeeds>): HostNeeds => ({ ...NEEDS, ...given });

/** One check on a fake host. */
export async function judge(check: HostCheck, host: FakeHost, needs: Partial<HostNeeds> = {}): Promise<CheckOutcome> {
  return check.run({ io: fakeHost(host), needs: needsWith(needs), signal: new AbortController().signal });
}

/** Findings in short: `error TRY1101 service default/web`. */
export function brief({ findings }: Pick<CheckOutcome, 'findings'>): readonly string[] {
  return findings.map(({ severity, code, object }) => `${severity} ${code} ${object ?? ''}`);
}
