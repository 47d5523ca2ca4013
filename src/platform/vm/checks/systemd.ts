/** systemd: its version, our units, the users and units that agent.yaml names. */
import type { Diagnostic } from '../../../model/diagnostic.ts';
import { accountOf } from './accounts.ts';
import { envoyPrivileges } from './envoy-privileges.ts';
import { type CheckContext, finding, type HostCheck } from './host-check.ts';
import { count } from './listening.ts';
import { AGENT_UNIT, ENVOY_UNIT, type UnitProperties, unitsOf } from './units.ts';

/** The oldest that the units are written for. */
const OLDEST = 239;
const CAPTURE_UNIT = 'trysail-capture.service';
const DNS_UNIT = 'trysail-dns.path';
const OUR_UNITS = [
  AGENT_UNIT,
  ENVOY_UNIT,
  'trysail-drain.service',
  CAPTURE_UNIT,
  DNS_UNIT,
  'trysail-dns.service',
  'trysail-server.service',
];
const PROPERTIES = [
  'ActiveState',
  'SubState',
  'UnitFileState',
  'Result',
  'NRestarts',
  'User',
  'Wants',
  'NeedDaemonReload',
];

function judge(name: string, unit: UnitProperties): readonly Diagnostic[] {
  const findings: Diagnostic[] = [];
  if (unit['ActiveState'] === 'failed')
    findings.push(
      finding(
        'TRY1170',
        'error',
        name,
        `it has failed (${unit['Result'] ?? 'unknown'})`,
        `See why: journalctl -u ${name} -n 50`,
      ),
    );
  if (unit['NeedDaemonReload'] === 'yes')
    findings.push(
      finding('TRY1170', 'warning', name, 'its file has changed since systemd read it', 'Run: systemctl daemon-reload'),
    );
  const running = unit['ActiveState'] === 'active';
  if (name === AGENT_UNIT && running && unit['UnitFileState'] === 'disabled')
    findings.push(
      finding(
        'TRY1170',
        'warning',
        name,
        'it runs and is not enabled: after a reboot it does not come back',
        `Run: systemctl enable ${name}`,
      ),
    );
  return findings;
}

/** Units beside the agent that what agent.yaml asks for needs; nobody but root can start them. */
function helpers({ needs }: CheckContext, installed: ReadonlyMap<string, UnitProperties>): readonly Diagnostic[] {
  const wanted = [
    ...(needs.capture.redirect || needs.capture.tproxy ? [{ name: CAPTURE_UNIT, lost: 'nothing is captured' }] : []),
    ...(needs.dns === undefined ? [] : [{ name: DNS_UNIT, lost: 'names of the mesh do not resolve' }]),
  ];
  const agentRuns = installed.get(AGENT_UNIT)?.['ActiveState'] === 'active';
  return wanted.flatMap(({ name, lost }) => {
    const unit = installed.get(name);
    if (unit === undefined || unit['ActiveState'] === 'active' || unit['ActiveState'] === 'failed') return [];
    // Before the agent is started it is enough that the boot starts them; the agent's unit asks for some itself.
    const wants = installed.get(AGENT_UNIT)?.['Wants']?.split(' ').includes(name) === true;
    if (!agentRuns && (wants || unit['UnitFileState'] === 'enabled')) return [];
    return [
      finding(
        'TRY1170',
        agentRuns ? 'error' : 'warning',
        name,
        `agent.yaml needs it and it is ${unit['ActiveState'] ?? 'not there'}: ${lost}`,
        `Run: systemctl enable --now ${name}`,
      ),
    ];
  });
}

async function accounts(
  { io, needs }: CheckContext,
  installed: ReadonlyMap<string, UnitProperties>,
): Promise<readonly Diagnostic[]> {
  const ours = [...installed].flatMap(([unit, { User = '' }]) =>
    User === '' ? [] : [{ user: User, what: `${unit} runs as it` }],
  );
  const named = needs.users.map((user) => ({ user, what: 'agent.yaml names it' }));
  const wanted = new Map([...named, ...ours].map(({ user, what }) => [user, what]));
  const found = await Promise.all(
    [...wanted].map(async ([user, what]) => ({ user, what, account: await accountOf(io, user) })),
  );
  return found
    .filter(({ account }) => account === undefined)
    .map(({ user, what }) =>
      finding(
        'TRY1173',
        'error',
        `user ${user}`,
        `there is no such user; ${what}`,
        `Create it (useradd --system ${user}), or correct the name.`,
      ),
    );
}

async function namedUnits({ io, needs }: CheckContext): Promise<readonly Diagnostic[]> {
  if (needs.units.length === 0) return [];
  const found = await unitsOf(io, needs.units, ['ActiveState']);
  return needs.units
    .filter((name) => found !== undefined && !found.has(name))
    .map((name) =>
      finding(
        'TRY1124',
        'error',
        `unit ${name}`,
        'agent.yaml names it, and systemd does not know it: its calls are nobody’s',
        'Install the unit, or correct services[].unit in agent.yaml.',
      ),
    );
}

export const SYSTEMD_CHECK: HostCheck = {
  name: 'systemd',
  async run(context) {
    const { io, needs } = context;
    const installed = await unitsOf(io, OUR_UNITS, PROPERTIES);
    if (installed === undefined) {
      const missing = needs.units.map((name) =>
        finding(
          'TRY1173',
          'error',
          `unit ${name}`,
          'agent.yaml names a unit, and this host does not run systemd',
          'Name a user of the host instead (services[].user).',
        ),
      );
      const users = await accounts(context, new Map());
      if (missing.length + users.length > 0) return { facts: [], findings: [...missing, ...users] };
      return { facts: [], findings: [], skipped: 'this host does not run systemd' };
    }
    const version = Number(/systemd (\d+)/.exec((await io.run('systemctl', ['--version']))?.stdout ?? '')?.[1]);
    const findings = [
      ...[...installed].flatMap(([name, unit]) => judge(name, unit)),
      ...helpers(context, installed),
      ...(await accounts(context, installed)),
      ...(await namedUnits(context)),
      ...(await envoyPrivileges(context)),
    ];
    if (version < OLDEST)
      findings.push(
        finding(
          'TRY1173',
          'warning',
          'systemd',
          `version ${version} is older than any that the units are tried on`,
          `Use ${OLDEST} or later.`,
        ),
      );
    const main = [AGENT_UNIT, ENVOY_UNIT].flatMap((name) => {
      const unit = installed.get(name);
      return unit === undefined ? [] : [`${name.replace('.service', '')} ${unit['ActiveState'] ?? 'unknown'}`];
    });
    return {
      facts: [
        `version ${version}`,
        ...(main.length === 0 ? ['no unit of ours installed'] : main),
        ...(needs.units.length === 0 ? [] : [`${count(needs.units.length, 'unit')} of agent.yaml looked up`]),
      ],
      findings,
    };
  },
};
