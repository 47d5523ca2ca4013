import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { IDLE, IDLE_HANDLERS } from '../../src/api/api-fixture.ts';
import { type ApiHandlers, serveApi } from '../../src/api/server.ts';
import { VERSION } from '../../src/api/version.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { silentLog } from '../../src/lib/log.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function trysail(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const { PATH } = process.env;
  return await new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

async function agent(t: Parameters<typeof tempDir>[0], handlers: Partial<ApiHandlers> = {}): Promise<string> {
  const socket = join(await tempDir(t), 'api.sock');
  const server = await serveApi({ socket, log: silentLog(), handlers: { ...IDLE_HANDLERS, ...handlers } });
  t.after(() => server.close());
  return socket;
}

test('trysail alone guides, with exit code 0', async () => {
  const { code, out, err } = await trysail([]);
  assert.deepEqual([code, err], [EXIT.ok, '']);
  assert.match(out, new RegExp(`^Trysail ${VERSION}: .*\\n\\nOn a host of the mesh:\\n  trysail join `));
});

test('an unknown command suggests the nearest', async () => {
  assert.deepEqual(await trysail(['statis']), {
    code: EXIT.usage,
    out: '',
    err: "trysail: unknown command 'statis'\n(Did you mean status?)\n(add --help to see how it is called)\n",
  });
});

test('an unknown option suggests the nearest', async () => {
  assert.deepEqual(await trysail(['check', '--consul-adress', 'x']), {
    code: EXIT.usage,
    out: '',
    err: "trysail: unknown option '--consul-adress'\n(Did you mean --consul-address?)\n(add --help to see how it is called)\n",
  });
});

/** What is wrong with the command line alone: exit code 2, one line with the value, and the remedy. */
const WRONG: Readonly<Record<string, readonly [args: readonly string[], err: string]>> = {
  'help for a command that there is not': [
    ['help', 'statis'],
    "trysail: unknown command 'statis'\n(Did you mean status?)\n(add --help to see how it is called)\n",
  ],
  'an option that is missing': [
    ['explain'],
    "trysail: required option '--to <url>' not specified\n(add --help to see how it is called)\n",
  ],
  'a time that is none': [
    ['drain', '--wait', 'soon'],
    'trysail: "soon" is not a duration.\n  Write --wait like 15s.\n',
  ],
  'nothing to bypass': [['bypass'], 'trysail: no service is named.\n  Name some, or write --all.\n'],
  'nothing to delete': [['delete'], 'trysail: Nothing to delete was named.\n  Write kind/name, or -f and a file.\n'],
};

for (const [what, [args, err]] of Object.entries(WRONG))
  test(`the command line: ${what}`, async () => {
    assert.deepEqual(await trysail(args), { code: EXIT.usage, out: '', err });
  });

test('a publisher that cannot be is refused before keys are made', async (t) => {
  const dir = join(await tempDir(t), 'keys');
  const { code, err } = await trysail(['fleet', 'init', '--dir', dir, '--publisher', 'a b']);
  assert.equal(code, EXIT.failed);
  assert.match(err, /^trysail: "a b" is not the name of a publisher\.\n {2}Use letters/);
  assert.equal(existsSync(dir), false);
});

test('a file of resources without any is no success', async (t) => {
  const file = join(await tempDir(t), 'empty.yaml');
  await writeFile(file, '# nothing\n---\n');
  const { code, err } = await trysail(['analyze', '-f', file]);
  assert.equal(code, EXIT.failed);
  assert.match(err, /there are no resources in .*empty\.yaml/);
});

test('a wrong output format names the right ones', async () => {
  const { code, err } = await trysail(['version', '-o', 'xml']);
  assert.equal(code, EXIT.usage);
  assert.match(err, /argument 'xml' is invalid. Allowed choices are text, json, yaml\./);
});

test('trysail version prints what it runs on', async () => {
  assert.deepEqual(JSON.parse((await trysail(['version', '-o', 'json'])).out), {
    trysail: VERSION,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  });
  assert.equal((await trysail(['--version'])).out, `${VERSION}\n`);
});

/** `trysail check -o json`, parsed. */
interface Checked {
  readonly host?: string;
  readonly state: string;
  readonly checks: readonly {
    readonly name: string;
    readonly state: string;
    readonly facts: readonly string[];
    readonly findings: readonly { readonly code: string; readonly source?: { readonly line: number } }[];
  }[];
}

test('trysail check --offline finds mistakes in all three places, and its exit code follows the worst', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'agent.yaml');
  await mkdir(join(dir, 'resources'));
  const check = async (...args: readonly string[]): Promise<Outcome> =>
    trysail(['check', '--offline', '--config', file, ...args]);
  const agentYaml = 'host: {name: vm-1, address: 127.0.0.1}\nmesh: {config: mesh.yaml, resources: resources}\n';

  await writeFile(file, agentYaml);
  await writeFile(join(dir, 'mesh.yaml'), 'trustDomain: cluster.local\n');
  assert.deepEqual(await check('--strict'), {
    code: EXIT.ok,
    out: `✓ configuration  ${file} · ${join(dir, 'mesh.yaml')} · ${join(dir, 'resources')}\n\nvm-1: nothing is wrong in 1 check.\n`,
    err: '',
  });

  await writeFile(join(dir, 'mesh.yaml'), 'enableTracing: true\n');
  assert.equal((await check()).code, EXIT.ok);
  assert.equal((await check('--strict')).code, EXIT.warnings);

  await writeFile(file, `${agentYaml}upstreams: [{service: a, listen: 10.0.0.1:80}]\nservices: [{name: b}]\n`);
  await writeFile(join(dir, 'mesh.yaml'), 'trustDomian: cluster.local\n');
  await writeFile(join(dir, 'resources', 'a.yaml'), 'kind: VirtualService\nspec: [\n');
  const { code, out } = await check();
  assert.equal(code, EXIT.invalidConfiguration);
  const lines = out.trimEnd().split('\n');
  assert.deepEqual(
    lines
      .filter((line) => line.includes(' error '))
      .map((line) => line.replace(`${dir}/`, '').trim().split(' ', 3).join(' ')),
    ['error TRY0902 agent.yaml:3:', 'error IST0106 mesh.yaml:1:', 'error TRY0001 resources/a.yaml:3:'],
  );
  assert.equal(lines.at(-1), 'this host: 3 errors and 0 warnings in 1 check.');
  const report = JSON.parse((await check('-o', 'json')).out) as Checked;
  assert.deepEqual(
    report.checks.flatMap(({ findings }) => findings.map(({ source }) => source?.line)),
    [3, 1, 3],
  );
});

test('trysail check looks at the host as well, and its exit code tells the two apart', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'agent.yaml');
  await writeFile(file, 'registry: files\nidentity: {provider: none}\nhost: {name: vm-1, address: 192.0.2.77}\n');
  const check = async (...args: readonly string[]): Promise<Outcome> => trysail(['check', '--config', file, ...args]);
  const bad = await check('ports', 'consul', '-o', 'json');
  assert.equal(bad.code, EXIT.hostUnfit);
  const report = JSON.parse(bad.out) as Checked;
  assert.deepEqual(Object.keys(report), ['host', 'state', 'checks']);
  assert.deepEqual(
    report.checks.map(({ name, state, findings }) => [name, state, findings.map(({ code }) => code)]),
    [
      ['ports', 'error', ['TRY1104']],
      ['consul', 'skipped', []],
    ],
  );
  const text = await check('ports', 'consul');
  assert.match(
    text.out,
    /^✗ ports {3}1 of 1 port free or ours \(15021\)\n {4}error TRY1104 health listener: 192\.0\.2\.77 /,
  );
  assert.match(
    text.out,
    /\n– consul {2}not used \(registry: files\)\n\nvm-1: 1 error and 0 warnings in 1 check, 1 skipped\.\n$/,
  );
  assert.deepEqual(await check('prots'), {
    code: EXIT.usage,
    out: '',
    err: 'trysail: there is no check "prots".\n  Did you mean ports?\n',
  });
});

test('trysail check takes flags before the environment', async (t) => {
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(file, 'host: {address: 127.0.0.1}\n');
  const env = { TRYSAIL_CONFIG: file, TRYSAIL_LOG_LEVEL: 'loud' };
  const bad = await trysail(['check', '--offline'], env);
  assert.equal(bad.code, EXIT.invalidConfiguration);
  assert.match(bad.out, /log\.level \(environment variable TRYSAIL_LOG_LEVEL\): "loud" is not one of/);
  assert.equal((await trysail(['check', '--offline', '--log-level', 'debug'], env)).code, EXIT.ok);
});

test('trysail status without an agent says how to start it', async (t) => {
  const socket = join(await tempDir(t), 'api.sock');
  assert.deepEqual(await trysail(['status', '--socket', socket]), {
    code: EXIT.agentNotRunning,
    out: '',
    err: `trysail: the agent is not running: there is no socket ${socket}.\n  Start it with "systemctl start trysail" (without systemd: "trysail agent --config <file>"), or name its socket by --socket. A host that has not joined has none: trysail join --check.\n`,
  });
});

test('trysail status of a host that is well exits with 0, as text without colours, JSON and YAML', async (t) => {
  const socket = await agent(t);
  const text = await trysail(['status'], { TRYSAIL_SOCKET: socket });
  assert.equal(text.code, EXIT.ok);
  assert.match(text.out, /^vm-1 is well\.\n\nAgent {3}/);
  assert.deepEqual(JSON.parse((await trysail(['status', '--socket', socket, '-o', 'json'])).out), IDLE);
  assert.match((await trysail(['status', '--socket', socket, '-o', 'yaml'])).out, /^agent:\n {2}version: /);
});

test('trysail status of a host that is not well says so by its exit code too', async (t) => {
  const socket = await agent(t, {
    status: () => ({ ...IDLE, envoy: { state: 'crashed', ready: false, restarts: 1 } }),
  });
  const { code, out } = await trysail(['status', '--socket', socket]);
  assert.equal(code, EXIT.unhealthy);
  assert.match(out, /^vm-1 is not well: 1 error\.\n {2}error {4}Envoy is crashed\n/);
  assert.equal((await trysail(['status', '--socket', socket, '-o', 'json'])).code, EXIT.unhealthy);
});

test('trysail status --watch goes on while the agent is away, until Ctrl-C', async (t) => {
  const socket = join(await tempDir(t), 'api.sock');
  const child = startChild(t, process.execPath, [MAIN, 'status', '--watch', '--socket', socket]);
  await eventually('told', () => assert.match(child.output(), /the agent is not running/));
  const server = await serveApi({ socket, log: silentLog(), handlers: IDLE_HANDLERS });
  t.after(() => server.close());
  await eventually('shown', () => assert.match(child.output(), /vm-1 is well\./));
  child.process.kill('SIGINT');
  assert.equal(await child.exited, EXIT.interrupted);
});

test('trysail agent does not start with wrong settings, and tells all of them', async (t) => {
  const file = join(await tempDir(t), 'agent.yaml');
  await writeFile(file, 'registry: none\nlog: {level: loud}\n');
  assert.deepEqual(await trysail(['agent', '--config', file]), {
    code: EXIT.invalidConfiguration,
    out: '',
    err: `trysail: the agent cannot start with 2 errors in its settings:
${file}:1: error TRY0901 registry: "none" is not one of consul, files. Write it like consul.
${file}:2: error TRY0901 log.level: "loud" is not one of info, debug, warn, error. Write it like info.
  Correct them; "trysail check" tells the same, and of the resources too.
`,
  });
});

test('trysail rotate and reload say what happened', async (t) => {
  const socket = await agent(t, {
    reload: () => ({ diagnostics: [{ code: 'IST0106', severity: 'error', message: 'bad', remedy: 'Mend it.' }] }),
  });
  const id = 'spiffe://a/ns/b/sa/c';
  assert.deepEqual(await trysail(['rotate', id, '--socket', socket]), {
    code: EXIT.ok,
    out: `${id} renewed, serial 01\n`,
    err: '',
  });
  assert.deepEqual(await trysail(['reload', '--socket', socket]), {
    code: EXIT.invalidConfiguration,
    out: 'error IST0106: bad. Mend it.\n',
    err: '',
  });
});

test('an error of the agent is told with its remedy, a defect as one', async (t) => {
  const socket = await agent(t, {
    rotate: () => Promise.reject(new TrysailError('CA_UNREACHABLE', 'no CA at x:15012', { remedy: 'Start it.' })),
  });
  assert.deepEqual(await trysail(['rotate', '--socket', socket]), {
    code: EXIT.failed,
    out: '',
    err: 'trysail: no CA at x:15012.\n  Start it.\n',
  });
});

test('trysail status ends quietly when the reader of its output has gone', async (t) => {
  const socket = await agent(t);
  const child = spawn('sh', ['-c', `"$0" "$@" | true`, process.execPath, MAIN, 'status', '--socket', socket], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  assert.equal(err, '');
});
