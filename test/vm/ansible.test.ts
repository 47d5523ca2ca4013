/** The example role of examples/ansible on a machine with systemd: in, unchanged, refused, out. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { consulBinary, ROOT } from '../support/tools.ts';
import { canBootMachines } from './capability.ts';
import { type CommandResult, runCommand } from './command.ts';
import type { Machine } from './machine.ts';
import { type MachineNetwork, startNetwork } from './network.ts';
import { buildPackages, envoyPid, startApplication, untilServed, VERSIONS } from './packages.ts';

const EXAMPLE = join(ROOT, 'examples/ansible');
const PLAY_MS = 300_000;
const PACKAGE = `/packages/trysail_${VERSIONS[0]}_amd64.deb`;
const SERVICE = { name: 'web', port: 8080, protocol: 'HTTP', application: '127.0.0.1:8000' };

type Play = (playbook: string, variables?: Readonly<Record<string, unknown>>) => Promise<CommandResult>;

/** Ansible, and Python's own say why there can be none here. */
async function whyNoAnsible(): Promise<string | undefined> {
  const { code, stderr } = await runCommand(join(ROOT, 'scripts/ansible'), ['playbook', '--version'], {
    timeoutMs: PLAY_MS,
  });
  return code === 0 ? undefined : `scripts/ansible: ${stderr.trim().split('\n').at(-1) ?? ''}`;
}

/** Plays a playbook of the example on the machine, as one does by ssh. */
async function player(t: TestContext, machine: Machine): Promise<Play> {
  const dir = await tempDir(t);
  const pid = /^\/proc\/(\d+)\//.exec(machine.root())?.[1] ?? '';
  return async (playbook, variables = {}) => {
    const connection = {
      ansible_host: pid,
      ansible_connection: 'ssh',
      ansible_ssh_executable: join(import.meta.dirname, 'ansible/ssh'),
      ansible_ssh_args: '',
      ansible_ssh_transfer_method: 'piped',
      ansible_pipelining: true,
      ansible_become: false,
      ansible_python_interpreter: '/usr/bin/python3',
    };
    const hosts = { [machine.name]: connection };
    await writeFile(join(dir, 'inventory.yml'), stringify({ mesh: { hosts, vars: variables } }), { mode: 0o600 });
    return runCommand(
      'env',
      [
        `ANSIBLE_HOME=${dir}/home`,
        'ANSIBLE_NOCOLOR=1',
        join(ROOT, 'scripts/ansible'),
        'playbook',
        '-i',
        join(dir, 'inventory.yml'),
        join(EXAMPLE, playbook),
      ],
      { timeoutMs: PLAY_MS },
    );
  };
}

/** Numbers of the recap: `changed`, `failed` and so on. */
function recap({ stdout }: CommandResult): Readonly<Record<string, number>> {
  const line = stdout.split('\n').findLast((text) => /: ok=\d+/.test(text)) ?? '';
  return Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map(([, name = '', count]) => [name, Number(count)]));
}

function assertPlayed(result: CommandResult): void {
  assert.equal(result.code, 0, `${result.stdout}${result.stderr}`);
}

/** The machine with the CA, and a token of it for any service of namespace `default`. */
async function startCa(network: MachineNetwork, binds: Readonly<Record<string, string>>): Promise<string> {
  const ca = await network.machine({ name: 'ca', number: 2, diskMb: 1200, binds });
  await ca.run(`dpkg -i ${PACKAGE}`, { timeoutMs: 300_000 });
  await ca.run('trysail ca init --trust-domain prod.example');
  await ca.write('/etc/trysail/server.yaml', `ca: { dir: /var/lib/trysail-ca, names: [${ca.address}] }\n`);
  await ca.run('systemctl enable -q --now trysail-server');
  await eventually('the CA answers', async () => ca.run(`trysail ca status --address ${ca.address}:15012`));
  return (await ca.run(`trysail token create --ca-address ${ca.address}:15012 --allow 'default/*'`)).trim();
}

async function startHost(network: MachineNetwork, binds: Readonly<Record<string, string>>): Promise<Machine> {
  const vm = await network.machine({ name: 'vm1', number: 3, diskMb: 1200, binds });
  await startApplication(vm);
  await vm.run('systemd-run -q --unit=consul /consul/consul agent -dev -bind=127.0.0.1');
  await eventually('Consul leads', async () => vm.run('curl -sSf http://127.0.0.1:8500/v1/status/leader | grep :'));
  return vm;
}

const reason = (await canBootMachines()) ?? (await whyNoAnsible());

test('the role makes a host a member of the mesh, changes nothing the second time, and takes it out', {
  skip: reason ?? false,
}, async (t) => {
  const packages = await buildPackages(t, 'deb', [VERSIONS[0]]);
  const network = await startNetwork(t);
  const binds = { [packages]: '/packages', [dirname(consulBinary())]: '/consul' };
  const [token, vm] = await Promise.all([startCa(network, binds), startHost(network, binds)]);
  const play = await player(t, vm);
  const variables = {
    trysail_package: PACKAGE,
    trysail_package_on_host: true,
    trysail_join_token: token,
    trysail_agent: { services: [SERVICE] },
    trysail_resources: {
      'web.yaml': stringify({
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRule',
        metadata: { name: 'web' },
        spec: { host: 'web', trafficPolicy: { connectionPool: { tcp: { connectTimeout: '2s' } } } },
      }),
    },
  };

  const first = await play('site.yml', variables);
  assertPlayed(first);
  assert.ok((recap(first)['changed'] ?? 0) >= 4, first.stdout);
  assert.ok(!first.stdout.includes(token), 'the token is not printed');
  assert.match(await vm.run('trysail join --check'), /joined/);
  await untilServed(vm);
  const envoy = await envoyPid(vm);

  const second = await play('site.yml', variables);
  assertPlayed(second);
  assert.equal(recap(second)['changed'], 0, second.stdout);

  const faulty = await play('site.yml', { ...variables, trysail_agent: { services: [{ ...SERVICE, port: 0 }] } });
  assert.equal(recap(faulty)['failed'], 1, faulty.stdout);
  assert.match(faulty.stdout, /services\[0\]\.port/);
  assert.equal(await envoyPid(vm), envoy);
  await untilServed(vm);

  const left = await play('leave.yml');
  assertPlayed(left);
  assert.equal(recap(left)['changed'], 2, left.stdout);
  assert.doesNotMatch(await vm.run('curl -s http://127.0.0.1:8500/v1/agent/services'), /web/);
  assert.equal((await vm.try('ls /usr/bin/trysail /etc/trysail /var/lib/trysail')).stdout, '');
});
