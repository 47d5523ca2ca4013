import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sshPorts, sshPortsIn } from './ssh-ports.ts';

test('ports of sshd are found in every place that sets them', () => {
  const config =
    '#Port 22\nPort 2222\nport=2200\nListenAddress 10.0.0.1:2022\nListenAddress [::1]:2023\nListenAddress ::1\n';
  assert.deepEqual(
    sshPortsIn(config, 'ListenStream=\nListenStream=0.0.0.0:2024\nListenStream=2025\n'),
    [2022, 2023, 2024, 2025, 2200, 2222],
  );
});

test('the files are read where they are, and missing ones are none', async (t) => {
  const etc = await mkdtemp(join(tmpdir(), 'ts-'));
  t.after(() => rm(etc, { recursive: true, force: true }));
  assert.deepEqual(await sshPorts(etc), []);
  await mkdir(join(etc, 'ssh/sshd_config.d'), { recursive: true });
  await writeFile(join(etc, 'ssh/sshd_config.d/port.conf'), 'Port 2222\n');
  assert.deepEqual(await sshPorts(etc), [2222]);
});
