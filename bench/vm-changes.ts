// What a change of a host costs its traffic: hot restart of Envoy, upgrade of the package; and how long a host needs until
// it serves: start of the agent, reboot.
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../test/support/eventually.ts';
import { untilWell } from '../test/vm/fleet.ts';
import type { Machine } from '../test/vm/machine.ts';
import type { Report } from './main.ts';
import type { PauseResult } from './pause-client.ts';
import { median } from './process-usage.ts';
import { NODE, VERSIONS, type VmHosts, WAYS } from './vm-hosts.ts';
import { bootTimeMs, type UnitTimes, unitMemory, unitTimes } from './vm-usage.ts';

const RATE = 500;
/** As long as a hot restart takes with its drain, for the same client with nothing happening. */
const QUIET_MS = 10_000;
const SAMPLE_MS = 50;
const STARTS = 5;
/** The collector of Node gives memory back some seconds after a start. */
const SETTLE_MS = 12_000;
const PAUSED_WAYS = ['upstream', 'direct'] as const;

/** The longest pauses of the way through the mesh and of the direct one, of the same process at the same time. */
interface Pauses {
  readonly mesh: PauseResult;
  readonly direct: PauseResult;
}

async function pausesDuring(east: Machine, change: () => Promise<void>): Promise<Pauses> {
  const urls = PAUSED_WAYS.map((name) => WAYS.find((way) => way.name === name)?.url ?? '').join(' ');
  await east.run(
    `rm -f /bench/pauses.json; systemd-run -q --unit=pauses ${NODE} /bench/pause-client.mjs /bench/pauses.json ${RATE} ${urls}`,
  );
  await eventually('the client counts', async () => east.run('test -e /bench/pauses.json'));
  await change();
  await east.run('systemctl stop pauses');
  const [mesh, direct] = JSON.parse(await east.run('cat /bench/pauses.json')) as PauseResult[];
  if (mesh === undefined || direct === undefined) throw new Error('bench: the client has written no result');
  return { mesh, direct };
}

function reportPauses(report: Report, name: string, { mesh, direct }: Pauses): void {
  report(`vm.${name}.longestPauseMs`, mesh.longestPauseMs, 'ms');
  report(`vm.${name}.longestPauseMs.direct`, direct.longestPauseMs, 'ms, same process and time');
  report(`vm.${name}.longestRequestMs`, mesh.longestRequestMs, 'ms');
  report(`vm.${name}.longestRequestMs.direct`, direct.longestRequestMs, 'ms, same process and time');
  report(`vm.${name}.requests`, mesh.requests, '');
  report(`vm.${name}.failures`, mesh.failures.length, '');
  for (const failure of mesh.failures.slice(0, 5)) console.error(`bench: ${name}: ${failure}`);
}

/** Process ids of a machine's Envoys that serve the mesh. */
const envoysOf = async (machine: Machine): Promise<string> =>
  (await machine.run('pgrep -x envoy -u trysail-envoy | sort -n')).trim();

/** Until Envoy is another process than `before`, and alone. */
async function untilReplaced(machine: Machine, before: string): Promise<void> {
  await eventually(
    'a hot restart is over',
    async () => {
      const now = await envoysOf(machine);
      if (now === before || now.includes('\n')) throw new Error(`Envoys: ${now.split('\n').join(', ')}`);
    },
    40_000,
  );
}

interface MemoryPeak {
  rssMb: number;
  pssMb: number;
}

/** Watches the memory of a machine's Envoys, however many there are, while `change` happens. */
async function memoryPeak(machine: Machine, change: () => Promise<void>): Promise<MemoryPeak> {
  const peak = { rssMb: 0, pssMb: 0 };
  const end = new AbortController();
  const watching = (async () => {
    while (!end.signal.aborted) {
      const { rssMb, pssMb } = await unitMemory(machine, 'trysail-envoy');
      peak.rssMb = Math.max(peak.rssMb, rssMb['envoy'] ?? 0);
      peak.pssMb = Math.max(peak.pssMb, pssMb['envoy'] ?? 0);
      await delay(SAMPLE_MS);
    }
  })();
  try {
    await change();
  } finally {
    end.abort();
    await watching;
  }
  return peak;
}

async function measureHotRestart(east: Machine, report: Report): Promise<void> {
  reportPauses(report, 'quiet', await pausesDuring(east, async () => delay(QUIET_MS)));
  const alone = (await unitMemory(east, 'trysail-envoy')).pssMb['envoy'] ?? Number.NaN;
  let peak: MemoryPeak | undefined;
  const pauses = await pausesDuring(east, async () => {
    peak = await memoryPeak(east, async () => {
      const before = await envoysOf(east);
      // Part of what Envoy is started with.
      await east.run("sed -i 's/drainTime: .*/drainTime: 4s/' /etc/trysail/agent.yaml");
      await east.run('systemctl reload trysail');
      await untilReplaced(east, before);
    });
  });
  reportPauses(report, 'hotRestart', pauses);
  report('vm.hotRestart.envoyPssMb.before', alone, 'MB');
  report('vm.hotRestart.envoysPssMb.peak', peak?.pssMb ?? Number.NaN, 'MB, what both share once');
  report('vm.hotRestart.envoysRssMb.peak', peak?.rssMb ?? Number.NaN, 'MB, sum of both');
}

/** Both hosts, one after the other, from one version to the next, under load. */
async function measureUpgrade(hosts: VmHosts, name: string, version: string, report: Report): Promise<void> {
  const { east, west } = hosts;
  const pauses = await pausesDuring(east, async () => {
    for (const host of [east, west]) {
      const before = await envoysOf(host);
      const { activeMs } = await unitTimes(host, 'trysail');
      await host.run(`dpkg -i /packages/trysail_${version}_amd64.deb`, { timeoutMs: 120_000 });
      await eventually('the new agent is ready', async () => (await unitTimes(host, 'trysail')).activeMs > activeMs);
      if (version === VERSIONS[2]) await untilReplaced(host, before);
    }
  });
  reportPauses(report, name, pauses);
}

/** The agent as it is started while its Envoy serves, and with an Envoy of its own. */
async function measureStarts({ east }: VmHosts, report: Report): Promise<void> {
  const startToReady = ({ startMs, activeMs }: UnitTimes): number => activeMs - startMs;
  const adopted: number[] = [];
  const both: number[] = [];
  for (let round = 0; round < STARTS; round += 1) {
    await east.run('systemctl restart trysail');
    adopted.push(startToReady(await unitTimes(east, 'trysail')));
  }
  for (let round = 0; round < STARTS; round += 1) {
    await east.run('systemctl stop trysail trysail-envoy');
    await east.run('systemctl start trysail');
    both.push(startToReady(await unitTimes(east, 'trysail')));
  }
  report('vm.start.readyMs', median(both), 'ms');
  report('vm.start.readyMs.envoyServes', median(adopted), 'ms');
}

/** A unit that is active as soon as a line of shell succeeds; part of the boot. */
async function installProbe(machine: Machine, name: string, line: string): Promise<void> {
  await machine.write(
    `/etc/systemd/system/${name}.service`,
    `[Unit]
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
ExecStart=/bin/sh -c 'until ${line}; do sleep 0.05; done'
[Install]
WantedBy=multi-user.target
`,
  );
  await machine.run(`systemctl daemon-reload && systemctl enable -q ${name}`);
}

/** Times since the machine's first process began; all of its other units boot at the same time. */
async function measureBoot({ east }: VmHosts, report: Report): Promise<void> {
  const url = WAYS.find(({ name }) => name === 'upstream')?.url ?? '';
  await installProbe(
    east,
    'probe-envoy',
    'curl -sf -m 1 -o /dev/null --unix-socket /run/trysail-envoy/admin.sock http://envoy/ready',
  );
  await installProbe(east, 'probe-request', `curl -sf -m 1 -o /dev/null ${url}`);
  await east.reboot();
  await untilWell(east);
  const well = performance.now();
  const bootMs = await bootTimeMs(east);
  const agent = await unitTimes(east, 'trysail');
  report('vm.boot.consulStartedMs', (await unitTimes(east, 'consul')).startMs - bootMs, 'ms');
  report('vm.boot.agentStartedMs', agent.startMs - bootMs, 'ms');
  report('vm.boot.envoyReadyMs', (await unitTimes(east, 'probe-envoy')).activeMs - bootMs, 'ms');
  report('vm.boot.agentReadyMs', agent.activeMs - bootMs, 'ms');
  report('vm.boot.firstRequestMs', (await unitTimes(east, 'probe-request')).activeMs - bootMs, 'ms');
  await delay(Math.max(0, well + SETTLE_MS - performance.now()));
  // Without a join or a renewal, and so without a client of the CA.
  report('vm.boot.agentRssMb', (await unitMemory(east, 'trysail')).rssMb['node'] ?? Number.NaN, 'MB');
}

/** Reports `vm.hotRestart.*`, `vm.upgrade.*`, `vm.start.*` and `vm.boot.*`. */
export async function measureChanges(hosts: VmHosts, report: Report): Promise<void> {
  await measureHotRestart(hosts.east, report);
  await measureUpgrade(hosts, 'upgrade.sameEnvoy', VERSIONS[1], report);
  await measureUpgrade(hosts, 'upgrade', VERSIONS[2], report);
  await measureStarts(hosts, report);
  await measureBoot(hosts, report);
}
