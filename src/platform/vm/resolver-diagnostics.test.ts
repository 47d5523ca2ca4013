import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { hostResolver, resolverDiagnostics } from './resolver-diagnostics.ts';

const LISTEN = { address: '127.0.0.1', port: 15_053 };

test('who resolves names is read from the host’s files', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'trysail-resolver-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  assert.equal(await hostResolver(root), 'other');
  await write('/etc/resolv.conf', 'nameserver 10.0.0.2\n');
  assert.equal(await hostResolver(root), 'other');
  await write('/run/systemd/resolve/resolv.conf', 'nameserver 10.0.0.2\n');
  assert.equal(await hostResolver(root), 'passed-by');
  await write('/etc/nsswitch.conf', 'hosts: files resolve [!UNAVAIL=return] dns\n');
  assert.equal(await hostResolver(root), 'resolved');
  await write('/etc/nsswitch.conf', 'hosts: files dns\n');
  await write('/etc/resolv.conf', '# stub\nnameserver 127.0.0.53\noptions edns0\n');
  assert.equal(await hostResolver(root), 'resolved');
});

test('what keeps names from resolving says what to do', () => {
  const domains = { routed: ['mesh'], left: ['example.com'] };
  assert.deepEqual(
    resolverDiagnostics('resolved', LISTEN, domains, true).map(({ object }) => object),
    ['name example.com'],
  );
  assert.match(resolverDiagnostics('resolved', LISTEN, domains, false)[0]?.remedy ?? '', /trysail-dns/);
  assert.match(
    resolverDiagnostics('other', LISTEN, domains, false)[0]?.remedy ?? '',
    /server=\/mesh\/127\.0\.0\.1#15053/,
  );
  assert.match(resolverDiagnostics('passed-by', LISTEN, domains, false)[0]?.remedy ?? '', /stub-resolv\.conf/);
  assert.deepEqual(resolverDiagnostics('other', LISTEN, { routed: [], left: [] }, false), []);
});
