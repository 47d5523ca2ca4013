import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAtLeast, KERNEL_CHECK } from '../../src/platform/vm/checks/kernel.ts';
import { NFTABLES_CHECK } from '../../src/platform/vm/checks/nftables.ts';
import { realHost } from '../../src/platform/vm/checks/real-host.ts';
import { cannotCapture } from '../capture/netns.ts';
import { brief, judge, needsWith } from './fake-host.ts';

const UNIFIED = { '/sys/fs/cgroup/cgroup.controllers': 'cpu', '/proc/sys/kernel/osrelease': '6.1.0-13-amd64\n' };
const ALL = { redirect: true, cgroup: true, tproxy: true };

test('kernel: cgroups, IPv6, dummy links, age', async () => {
  const six = { '/proc/net/if_inet6': '00000000000000000000000000000001 01 80 10 80       lo\n' };
  const good = await judge(KERNEL_CHECK, { files: { ...UNIFIED, ...six } }, { capture: ALL });
  assert.deepEqual([good.facts, good.findings], [['Linux 6.1.0-13-amd64', 'cgroup2', 'IPv4 and IPv6'], []]);
  const v1 = { '/proc/sys/kernel/osrelease': '3.10.0\n' };
  assert.deepEqual(brief(await judge(KERNEL_CHECK, { files: v1 }, { capture: ALL })), [
    'error TRY1160 cgroup2',
    'warning TRY1160 kernel',
  ]);
  assert.deepEqual(brief(await judge(KERNEL_CHECK, { files: v1 })), ['info TRY1160 cgroup2', 'warning TRY1160 kernel']);
  const ports = [{ object: 'upstream a', protocol: 'tcp', address: '::1', port: 1, fromPeers: false }] as const;
  assert.deepEqual(brief(await judge(KERNEL_CHECK, { files: UNIFIED }, { ports })), ['error TRY1160 upstream a']);
  const dns = { address: '127.0.0.1', port: 15_053, domains: ['mesh'] };
  const noModule = { files: UNIFIED, programs: { modprobe: { code: 1 } } };
  assert.deepEqual(brief(await judge(KERNEL_CHECK, noModule, { dns })), ['warning TRY1160 dummy links']);
  assert.ok(isAtLeast('5.12.0', 5, 12) && !isAtLeast('5.4.0-150-generic', 5, 12) && isAtLeast('6.0-rc1', 5, 12));
});

test('nftables: what is missing is an error only where agent.yaml needs it', async () => {
  const nft = {
    'nft --version': 'nftables v1.0.6 (Lester Gooch #5)\n',
    nft: { code: 1, stderr: 'Error: Could not process rule' },
  };
  const host = { files: UNIFIED, folders: { '/sys/fs/cgroup': ['system.slice'] }, programs: nft };
  assert.deepEqual(
    (await judge(NFTABLES_CHECK, host, { capture: ALL })).findings.map(({ severity, code }) => `${severity} ${code}`),
    Array(4).fill('error TRY1160'),
  );
  const unneeded = await judge(NFTABLES_CHECK, host);
  assert.deepEqual([...new Set(unneeded.findings.map(({ severity }) => severity))], ['info']);
  assert.deepEqual(brief(await judge(NFTABLES_CHECK, {}, { capture: ALL })), ['error TRY1161 nft']);
  assert.match((await judge(NFTABLES_CHECK, {})).skipped ?? '', /not installed/);
});

test('nftables: rules that are not in force beside a running Envoy', async () => {
  const programs = {
    'nft --version': 'nftables v1.0.6\n',
    nft: '',
    'nft list table inet trysail': { code: 1, stderr: 'Error: No such file or directory\n' },
  };
  const host = { files: UNIFIED, folders: { '/sys/fs/cgroup': ['system.slice'] }, programs };
  const needs = { capture: ALL, envoyPids: [7] };
  assert.deepEqual(brief(await judge(NFTABLES_CHECK, host, needs)), ['warning TRY1162 table inet trysail']);
  assert.deepEqual((await judge(NFTABLES_CHECK, host, { capture: ALL })).findings, []);
  assert.deepEqual((await judge(NFTABLES_CHECK, host, { envoyPids: [7] })).findings, []);
  const there = { ...host, programs: { ...programs, 'nft list table inet trysail': 'table inet trysail {\n}\n' } };
  assert.deepEqual((await judge(NFTABLES_CHECK, there, needs)).findings, []);
});

test('nftables: who may not try is told what the kernel’s version says', async () => {
  const nft = { 'nft --version': 'nftables v1.0.6\n', nft: { code: 1, stderr: 'Operation not permitted' } };
  const folders = { '/sys/fs/cgroup': ['system.slice'] };
  const recent = await judge(NFTABLES_CHECK, { files: UNIFIED, folders, programs: nft }, { capture: ALL });
  assert.deepEqual(recent.findings, []);
  assert.match(recent.facts.join(), /only root can try/);
  const files = { ...UNIFIED, '/proc/sys/kernel/osrelease': '5.10.0\n' };
  assert.deepEqual(brief(await judge(NFTABLES_CHECK, { files, folders, programs: nft }, { capture: ALL })), [
    'error TRY1160 nftables: tables that end with their owner',
    'error TRY1160 nftables: cgroup matches',
  ]);
});

test('nftables on this kernel: the features are tried and nothing is left', { skip: cannotCapture() }, async () => {
  const io = realHost(() => Promise.resolve([]));
  const outcome = await NFTABLES_CHECK.run({
    io,
    needs: needsWith({ capture: { redirect: true, tproxy: true, cgroup: false } }),
    signal: new AbortController().signal,
  });
  assert.deepEqual(
    outcome.findings.filter(({ severity }) => severity === 'error'),
    [],
  );
  assert.match(outcome.facts.join(), /tables that end with their owner, redirect/);
  const tables = await io.run('nft', ['list', 'tables']);
  assert.ok(tables !== undefined && !tables.stdout.includes('trysail_check'));
});
