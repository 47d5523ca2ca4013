/** `trysail ca`, `token` and `server` as a user runs them. */
import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TrysailCaProvider } from '../../src/identity/trysail-ca-provider.ts';
import { silentLog } from '../../src/lib/log.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/ports.ts';
import { trysail } from '../support/run-trysail.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { spiffe } from './mesh-ca.ts';

test('a mesh from nothing: a CA, its server, a token, a host, its revocation', async (t) => {
  const dir = await tempDir(t);
  const ca = join(dir, 'ca');
  const port = await freePort();
  const address = `127.0.0.1:${port}`;

  const made = await trysail('ca', 'init', '--dir', ca, '--trust-domain', 'prod.example');
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /Root SHA-256: [0-9a-f]{64}/);
  assert.match(made.out, /trysail token create/);
  const again = await trysail('ca', 'init', '--dir', ca, '--trust-domain', 'prod.example');
  assert.equal(again.code, 1);
  assert.match(again.err, /exists: a CA's files are never overwritten/);

  const config = join(dir, 'server.yaml');
  await writeFile(config, `ca:\n  dir: ca\n  listen: ${address}\nlog:\n  level: info\n`);
  const server = startChild(t, join(ROOT, 'scripts/trysail'), ['server', '--roles', 'ca', '--config', config]);
  await eventually(
    'the CA answers',
    async () => (await trysail('ca', 'status', '--dir', ca, '--address', address)).code === 0,
  );

  const token = await trysail('token', 'create', '--dir', ca, '--ca-address', address, '--allow', 'default/*');
  assert.equal(token.code, 0, token.err);
  assert.match(token.out, /^trysail-join-1\.\S+\n$/, 'the token alone on standard output');
  assert.match(token.err, /It is a secret/);

  const never = new AbortController().signal;
  const provider = new TrysailCaProvider({
    stateDir: join(dir, 'state'),
    hostName: 'vm-1',
    trustDomain: 'prod.example',
    addresses: [],
    readJoinToken: async () => token.out,
    log: silentLog(),
  });
  await provider.issue(spiffe('default', 'reviews'), never);

  const tokens = JSON.parse((await trysail('token', 'list', '--dir', ca, '-o', 'json')).out) as readonly object[];
  assert.equal(tokens.length, 1);
  assert.partialDeepStrictEqual(tokens[0], { state: 'used', uses: 1, used: 1, usedBy: [{ host: 'vm-1' }] });
  assert.ok(!JSON.stringify(tokens).includes('ecret'));
  const hosts = await trysail('ca', 'hosts', '--dir', ca);
  assert.match(hosts.out, /^vm-1 +joined +default\/\*/m);

  const spare = JSON.parse(
    (await trysail('token', 'create', '--dir', ca, '--ca-address', address, '--allow', 'a/b', '-o', 'json')).out,
  ) as { id: string };
  assert.equal((await trysail('token', 'revoke', spare.id, '--dir', ca)).code, 0);
  assert.match((await trysail('token', 'list', '--dir', ca)).out, new RegExp(`^${spare.id} +revoked`, 'm'));

  assert.equal((await trysail('ca', 'revoke', 'vm-1', '--dir', ca)).code, 0);
  await assert.rejects(provider.issue(spiffe('default', 'reviews'), never), { code: 'CA_REFUSED', message: /revoked/ });
  assert.equal((await trysail('ca', 'deny', 'vm-2', '--dir', ca)).code, 1, 'the same by another name');

  await server.stop('SIGTERM');
  assert.equal(await server.exited, 0);
  assert.match(server.output(), /"kind":"workload","id":"spiffe:\/\/prod\.example\/ns\/default\/sa\/reviews"/);
  assert.match(server.output(), /"msg":"stopped"/);
  assert.ok(!server.output().includes(token.out.trim().slice(30, 80)));
  const down = await trysail('ca', 'status', '--dir', ca, '--address', address);
  assert.equal(down.code, 1);
  assert.match(down.out, /ECONNREFUSED/);
  assert.equal((await stat(join(ca, 'tokens'))).mode & 0o777, 0o700);
});

test('mistakes are named with their remedy and an exit code of their own', async (t) => {
  const dir = await tempDir(t);
  const config = join(dir, 'server.yaml');
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['server', '--config', config], 3, /cannot read .*server\.yaml \(ENOENT\)/],
    [['server', '--roles', 'ca,ui', '--config', config], 2, /"ui" is not a role of this version/],
    [['ca', 'init', '--dir', dir], 2, /--trust-domain/],
    [['ca', 'init', '--dir', join(dir, 'x'), '--trust-domain', 'A B'], 1, /not a SPIFFE trust domain/],
    [['ca', 'status', '--dir', join(dir, 'x')], 1, /ca init --dir/],
    [['token', 'create', '--dir', dir, '--allow', 'a/b'], 2, /--ca-address/],
    [
      ['token', 'create', '--dir', dir, '--allow', 'a/b', '--ca-address', 'x', '--ttl', 'soon'],
      1,
      /"soon" is not a duration/,
    ],
    [['token', 'list', '--dir', join(dir, 'x')], 1, /cannot read/],
  ];
  for (const [args, code, message] of cases) {
    const run = await trysail(...args);
    assert.equal(run.code, code, `${args.join(' ')}: ${run.err}`);
    assert.match(run.err, message);
  }
  await writeFile(config, `ca:\n  dir: ca\n`);
  const noCa = await trysail('server', '--config', config);
  assert.equal(noCa.code, 1);
  assert.match(noCa.err, /cannot read .*ca\.json \(ENOENT\)\.\n {2}Make a CA with "trysail ca init/);
});

test('a port in use is named', async (t) => {
  const dir = await tempDir(t);
  const port = await freePort();
  const { createServer } = await import('node:net');
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve));
  t.after(() => holder.close());
  await trysail('ca', 'init', '--dir', join(dir, 'ca'), '--trust-domain', 'prod.example');
  await writeFile(join(dir, 'server.yaml'), `ca: { dir: ca, listen: '127.0.0.1:${port}' }\n`);
  const run = await trysail('server', '--config', join(dir, 'server.yaml'));
  assert.equal(run.code, 1);
  assert.match(run.err, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`));
  assert.match(run.err, /set another one in ca\.listen/);
});
