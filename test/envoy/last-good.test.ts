/** The last good state: written from translated resources, taken by the real Envoy, served while no agent is there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { envoyArguments } from '../../src/envoy/arguments.ts';
import { buildBootstrap } from '../../src/envoy/bootstrap.ts';
import { launcherFiles } from '../../src/envoy/files.ts';
import { LastGoodBootstrap, type LastGoodOptions, lastGoodFiles } from '../../src/envoy/last-good-bootstrap.ts';
import { silentLog } from '../../src/lib/log.ts';
import { type Resource, type Resources, TYPE_URL, type TypeUrl } from '../../src/xds/resource.ts';
import { loadCase } from '../golden/golden-case.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { envoyBinary, ROOT } from '../support/tools.ts';
import { testAuthority } from '../translate/certificates.ts';
import { startApplication, startLoad } from './load.ts';
import { envoysOf, fourKinds, LAUNCHER, pidOf, soon, supervisor, testEnvoy } from './support.ts';

const GOLDEN = join(ROOT, 'test/golden');

function writer(dir: string, change: Partial<LastGoodOptions> = {}): LastGoodBootstrap {
  const files = lastGoodFiles(dir);
  return new LastGoodBootstrap({
    files,
    bootstrap: buildBootstrap({
      nodeId: 'host-1',
      nodeCluster: 'reviews.default',
      locality: { region: 'r', zone: 'z', subzone: '' },
      xdsSocket: join(dir, 'xds.sock'),
      adminSocket: join(dir, 'admin.sock'),
      healthListener: { address: '127.0.0.1', port: 15_021 },
    }),
    binary: envoyBinary(),
    args: envoyArguments({ bootstrapPath: files.bootstrap, launcherDir: dir, concurrency: 1, drainTimeMs: 1000 }),
    keys: true,
    shared: true,
    log: silentLog(),
    ...change,
  });
}

/** A golden case, with certificates. */
async function meshResources(name = 'inbound-permissive'): Promise<Resources> {
  const found = loadCase(GOLDEN, name);
  const secrets: readonly Resource[] = await (await testAuthority()).secrets(...found.identities);
  return new Map(found.resources).set(TYPE_URL.secret, new Map(secrets.map((secret) => [secret.name, secret])));
}

/** A cluster whose callers are told apart. */
interface Apart {
  readonly transport_socket: object;
  readonly transport_socket_matcher?: object;
  readonly transport_socket_matches: readonly { readonly name: string; readonly transport_socket: object }[];
}

function namesOf(resources: Resources, typeUrl: TypeUrl, pattern: RegExp): readonly string[] {
  return [...(resources.get(typeUrl) ?? new Map()).keys()].filter((name) => pattern.test(name));
}

async function validate(path: string): Promise<void> {
  await promisify(execFile)(envoyBinary(), ['--mode', 'validate', '--disable-hot-restart', '-c', path]);
}

test('all that Envoy has acknowledged becomes a bootstrap that Envoy takes, with nothing left to ask for', async (t) => {
  const dir = await tempDir(t);
  const files = lastGoodFiles(dir);
  const lastGood = writer(dir);
  lastGood.keep(await meshResources());
  await lastGood.flush();
  assert.equal(lastGood.failure, undefined);
  await validate(files.bootstrap);
  const text = await readFile(files.bootstrap, 'utf8');
  assert.doesNotMatch(text, /"ads"|"rds"|sds_config|eds_cluster_config|dynamic_resources|xds-grpc/);
  assert.match(text, /"name":"health"/);
  assert.match(text, /inline_bytes|inline_string/);
  assert.deepEqual(
    await Promise.all(
      [files.bootstrap, files.arguments, files.dir].map(async (path) => (await stat(path)).mode & 0o777),
    ),
    [0o640, 0o640, 0o750],
  );
  assert.deepEqual((await readFile(files.arguments, 'utf8')).split('\n').slice(0, 3), [
    envoyBinary(),
    '--config-path',
    files.bootstrap,
  ]);
});

test('without keys, what needs one is left out, and nothing of it is plain text instead', async (t) => {
  for (const [name, listeners, clusters] of [
    // STRICT: no listener is left.
    ['inbound-strict', [], ['inbound|5432||', 'inbound|9080||', 'inbound|9081||', 'inbound|9082||']],
    // A peer that is meshed is not called in plain text.
    ['upstream-tcp', ['127.0.0.1_9081'], []],
  ] as const) {
    const dir = await tempDir(t);
    const files = lastGoodFiles(dir);
    const lastGood = writer(dir, { keys: false });
    lastGood.keep(await meshResources(name));
    await lastGood.flush();
    assert.equal(lastGood.failure, undefined);
    await validate(files.bootstrap);
    const text = await readFile(files.bootstrap, 'utf8');
    assert.doesNotMatch(text, /private_key/);
    const { static_resources: written } = JSON.parse(text) as {
      static_resources: Record<'clusters' | 'listeners', { name: string }[]>;
    };
    const names = (kind: 'clusters' | 'listeners'): string[] => written[kind].map((each) => each.name).toSorted();
    assert.deepEqual([names('listeners'), names('clusters')], [['health', ...listeners].toSorted(), clusters]);
  }
});

test('where callers are told apart, one without a certificate is refused, and the others call on', async (t) => {
  const dir = await tempDir(t);
  const files = lastGoodFiles(dir);
  const resources = await meshResources('capture-calls-apart');
  const secrets = resources.get(TYPE_URL.secret) ?? new Map<string, Resource>();
  const callers = [...secrets.keys()].filter((name) => name.startsWith('spiffe://')).toSorted();
  const [gone = ''] = callers;
  assert.ok(callers.length > 1);
  const lastGood = writer(dir);
  lastGood.keep(new Map(resources).set(TYPE_URL.secret, new Map([...secrets].filter(([name]) => name !== gone))));
  await lastGood.flush();
  assert.equal(lastGood.failure, undefined);
  await validate(files.bootstrap);
  const written = (JSON.parse(await readFile(files.bootstrap, 'utf8')) as { static_resources: { clusters: Apart[] } })
    .static_resources.clusters;
  const apart = written.filter(({ transport_socket_matcher }) => transport_socket_matcher !== undefined);
  assert.equal(apart.length, namesOf(resources, TYPE_URL.cluster, /^outbound/).length);
  const seen = new Set<string>();
  for (const { transport_socket, transport_socket_matches } of apart)
    for (const { name, transport_socket: own } of transport_socket_matches) {
      if (!callers.includes(name)) continue;
      seen.add(name);
      if (name === gone) assert.deepEqual(own, transport_socket);
      else assert.match(JSON.stringify(own), new RegExp(`"tls_certificate_sds_secret_configs":\\[{"name":"${name}"`));
    }
  assert.deepEqual([...seen].toSorted(), callers);
});

test('one that is too large, or refused meanwhile, does not replace the one before', async (t) => {
  const dir = await tempDir(t);
  const files = lastGoodFiles(dir);
  const resources = await meshResources();
  const first = writer(dir);
  first.keep(resources);
  await first.flush();
  const before = await readFile(files.bootstrap, 'utf8');

  const bounded = writer(dir, { maxBytes: 1000 });
  bounded.keep(new Map(resources));
  await bounded.flush();
  assert.match(bounded.failure ?? '', /more than the 1000/);
  const doubting = writer(dir);
  doubting.keep(new Map());
  doubting.doubt();
  await doubting.flush();
  assert.equal(await readFile(files.bootstrap, 'utf8'), before);
});

test('an agent that is away at the start: the last good one serves, and the agent’s return is not noticed', async (t) => {
  const applications = await startApplication(t);
  const [http = 0, http2 = 0, grpc = 0, tcp = 0] = await freePorts(4);
  const ports = { http, http2, grpc, tcp };
  const envoy = await testEnvoy(t, { resources: fourKinds(ports, applications) });
  const [state, dir] = [await tempDir(t), await tempDir(t)];
  const files = lastGoodFiles(state);
  const launcher = { kind: 'systemd', script: '', dir } as const;
  // Static resources stand for those of xDS here; that they become such is tested above.
  const lastGood = writer(state, {
    bootstrap: { ...envoy.options.bootstrap, dynamic_resources: {} },
    args: envoyArguments({ ...envoy.options, bootstrapPath: files.bootstrap, launcherDir: dir }),
  });
  lastGood.keep(new Map());
  await lastGood.flush();
  const running = startChild(t, '/bin/sh', [LAUNCHER, dir], {
    env: { ...process.env, TRYSAIL_LAST_GOOD: files.arguments, TRYSAIL_LAST_GOOD_AFTER_S: '0.2' },
  });
  await eventually('the last good one serves', async () =>
    fetch(`http://127.0.0.1:${http}/`).then(
      (response) => response.ok,
      () => false,
    ),
  );
  const load = startLoad(t, ports);
  await load.more(10);
  const agent = supervisor(t, {
    ...envoy,
    options: { ...envoy.options, launcher, lastGoodBootstrap: files.bootstrap, drainTimeMs: 4000 },
  });
  await agent.start();
  await agent.ready(soon());
  assert.equal(agent.status.hotRestart?.reason, 'the last good configuration');
  assert.equal(agent.status.epoch, 1);
  await eventually('the last good one is gone', () => agent.status.hotRestart?.phase === 'done');
  await load.more(20);
  assert.deepEqual([...load.failures], []);
  await load.stop();
  assert.deepEqual(
    envoysOf(envoy.runDir).map(({ pid }) => pid),
    [pidOf(agent)],
  );
  // The unit stops.
  await agent.stop();
  running.process.kill('SIGTERM');
  await eventually('all is gone', () => running.process.exitCode !== null);
  assert.deepEqual(envoysOf(envoy.runDir), []);
  await assert.rejects(stat(launcherFiles(dir).control));
});
