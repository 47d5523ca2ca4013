/** The example in the room's README runs. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TYPE_URL } from '../../src/xds/resource.ts';
import { startChild } from '../support/child.ts';
import { eventually } from '../support/eventually.ts';
import { tempDir } from '../support/temp-dir.ts';
import { ROOT } from '../support/tools.ts';
import { connectClient } from './client.ts';

test('the example serves its cluster, and stops when told to', async (t) => {
  const room = join(ROOT, 'src/xds');
  const example = /```ts\n(?<code>[\s\S]*?)```/.exec(await readFile(join(room, 'README.md'), 'utf8'))?.groups?.['code'];
  assert.ok(example !== undefined);
  assert.ok(example.trim().split('\n').length <= 15);
  const address = `unix:${join(await tempDir(t), 'x.sock')}`;
  const child = startChild(t, process.execPath, ['--input-type=module-typescript', '-e', example], {
    cwd: room,
    env: { ...process.env, XDS_ADDRESS: address },
  });
  await eventually('it listens', () => {
    if (child.process.exitCode !== null) throw new Error(child.output());
    return child.output().includes(address);
  });
  const client = connectClient(address);
  t.after(() => client.close());
  const stream = client.delta();
  stream.send({ node: { id: 'n1' }, typeUrl: TYPE_URL.cluster });
  const response = await stream.next();
  assert.deepEqual(
    response.resources.map(({ name }) => name),
    ['reviews'],
  );
  stream.send({ typeUrl: TYPE_URL.cluster, responseNonce: response.nonce, errorDetail: { message: 'reviews: no' } });
  await eventually('the refusal is told', () => child.output().includes("[ 'reviews' ] reviews: no"));
  await child.stop('SIGTERM');
  assert.equal(await child.exited, 0);
});
