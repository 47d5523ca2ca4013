import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  canTproxy,
  processCanTproxy,
  removeTproxyDropIn,
  tproxyCapability,
  tproxyDropIn,
  writeTproxyDropIn,
} from './envoy-privileges.ts';

const status = (bits: string): string => `Name:\tenvoy\nCapPrm:\t0000000000000000\nCapEff:\t${bits}\n`;

test('the smaller capability from Linux 5.17 on', () => {
  const of = (...kernels: readonly string[]) => kernels.map(tproxyCapability);
  assert.deepEqual(of('5.17.0-1-amd64', '6.1.0', '6.18.44-fc', '10.0.1'), Array(4).fill('CAP_NET_RAW'));
  assert.deepEqual(of('5.16.20', '5.4.0-200-generic', '4.18.0', ''), Array(4).fill('CAP_NET_ADMIN'));
  assert.match(
    tproxyDropIn('6.1.0'),
    /\[Service\]\nCapabilityBoundingSet=CAP_NET_RAW\nAmbientCapabilities=CAP_NET_RAW\n$/,
  );
});

test('who can do it, by the capabilities in effect', () => {
  assert.ok(!canTproxy(status('0000000000000400'), '6.1.0'), 'CAP_NET_BIND_SERVICE');
  assert.ok(canTproxy(status('0000000000002400'), '6.1.0'));
  assert.ok(!canTproxy(status('0000000000002400'), '5.15.0'));
  assert.ok(canTproxy(status('0000000000001400'), '5.15.0'));
  assert.ok(canTproxy(status('000001ffffffffff'), '6.1.0'), 'root');
  assert.ok(canTproxy('', '6.1.0'), 'what is not known is not complained of');
});

test('a process that is not there is not complained of', () => {
  assert.ok(processCanTproxy(2 ** 30));
});

test('written once, removed with its folder, which stays where it holds something else', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'trysail-privileges-'));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, 'envoy.service.d/50.conf');
  assert.deepEqual([await writeTproxyDropIn(file), await writeTproxyDropIn(file)], [true, false]);
  assert.equal(await readFile(file, 'utf8'), tproxyDropIn());
  await writeFile(join(dir, 'envoy.service.d/mine.conf'), '');
  await removeTproxyDropIn(file);
  await stat(join(dir, 'envoy.service.d/mine.conf'));
  await rm(join(dir, 'envoy.service.d/mine.conf'));
  await removeTproxyDropIn(file);
  await assert.rejects(stat(join(dir, 'envoy.service.d')), { code: 'ENOENT' });
});
