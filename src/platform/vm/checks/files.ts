/** Owners and modes of our folders and secrets: nobody else may read keys or change what the agent believes. */
import { join } from 'node:path';
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { type Account, accountOf, groupsOf } from './accounts.ts';
import { type CheckContext, type FileFacts, finding, type HostCheck, type HostIo } from './host-check.ts';
import { AGENT_UNIT, unitsOf } from './units.ts';

const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`;

interface Rule {
  readonly path: string;
  /** Permission bits that must not be set. */
  readonly forbidden: number;
  readonly why: string;
  readonly mode: string;
}

async function judge(io: HostIo, { path, forbidden, why, mode }: Rule): Promise<Diagnostic | undefined> {
  const facts = await io.stat(path);
  if (facts === undefined || (facts.mode & forbidden) === 0) return undefined;
  return finding('TRY1171', 'error', path, `it has mode ${octal(facts.mode)}: ${why}`, `Run: chmod ${mode} ${path}`);
}

const SECRET = { forbidden: 0o027, why: 'others than its owner could read or change a secret', mode: '0600' } as const;
const CONFIGURATION = { forbidden: 0o022, why: 'others than its owner could change it', mode: '0644' } as const;

/** All of them ought to belong to the user that the agent runs as, which is the owner of the state folder. */
async function owners({ io, needs }: CheckContext, paths: readonly string[]): Promise<readonly Diagnostic[]> {
  const state = await io.stat(needs.paths.state);
  if (state === undefined) return [];
  const found = await Promise.all(paths.map(async (path) => ({ path, facts: await io.stat(path) })));
  return found
    .filter(({ facts }) => facts !== undefined && facts.uid !== state.uid)
    .map(({ path, facts }) =>
      finding(
        'TRY1171',
        'error',
        path,
        `it belongs to user ${facts?.uid}, and ${needs.paths.state} to user ${state.uid}: the agent may not be able to use it`,
        `Run: chown ${state.uid} ${path}`,
      ),
    );
}

/** Who may read a file by its mode; capabilities and lists of access rights do not count. */
function mayRead({ mode, uid, gid }: FileFacts, account: Account, groups: ReadonlySet<number>): boolean {
  if (account.uid === 0) return true;
  if (uid === account.uid) return (mode & 0o400) !== 0;
  return ((groups.has(gid) ? mode >> 3 : mode) & 0o004) !== 0;
}

/** Whoever checks may be root; the agent is not. */
async function unreadable({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  const user = (await unitsOf(io, [AGENT_UNIT], ['User']))?.get(AGENT_UNIT)?.['User'] ?? '';
  const account = user === '' ? undefined : await accountOf(io, user);
  if (account === undefined) return [];
  const groups = groupsOf(account, (await io.read('/etc/group')) ?? '');
  const files = [needs.paths.config, ...needs.secrets];
  const found = await Promise.all(files.map(async (path) => ({ path, facts: await io.stat(path) })));
  return found
    .filter(({ facts }) => facts !== undefined && !mayRead(facts, account, groups))
    .map(({ path }) =>
      finding(
        'TRY1171',
        'error',
        path,
        `user ${user}, as which ${AGENT_UNIT} runs, may not read it`,
        `Run: chgrp ${user} ${path} && chmod 0640 ${path}`,
      ),
    );
}

export const FILES_CHECK: HostCheck = {
  name: 'files',
  async run(context) {
    const { io, needs } = context;
    const { config, state, run } = needs.paths;
    const state_ = await io.stat(state);
    const identity = join(state, 'identity');
    const keys = (await io.list(identity)) ?? [];
    const rules: readonly Rule[] = [
      { path: state, forbidden: 0o027, why: 'others could read what is kept there', mode: '0700' },
      // Others may pass through to the sockets that are theirs.
      { path: run, forbidden: 0o026, why: 'others could list or change what is there', mode: '0750' },
      { path: identity, forbidden: 0o077, why: 'it holds private keys', mode: '0700' },
      ...keys.map((name) => ({ path: join(identity, name), ...SECRET })),
      ...needs.secrets.map((path) => ({ path, ...SECRET })),
      { path: config, ...CONFIGURATION },
    ];
    const judged = await Promise.all(rules.map(async (rule) => judge(io, rule)));
    const findings = [
      ...judged.filter((each) => each !== undefined),
      ...(await unreadable(context)),
      ...(await owners(context, [run, ...keys.map((name) => join(identity, name))])),
    ];
    const hidden = io.uid !== 0 && state_ !== undefined && state_.uid !== io.uid;
    if (hidden)
      findings.push(
        finding(
          'TRY1100',
          'info',
          state,
          'what is inside is hidden from this user',
          'Run trysail check as root, or as the user of the agent.',
        ),
      );
    return {
      facts: [
        state_ === undefined ? `${state} is not there yet` : `${state} ${octal(state_.mode)}`,
        ...(keys.length === 0 ? [] : [`${keys.length} files in ${identity}`]),
      ],
      findings,
    };
  },
};
