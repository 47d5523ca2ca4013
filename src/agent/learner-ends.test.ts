// Those who ask for names: whatever they send and whatever becomes of the learner, the agent goes on.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLog } from '../lib/log.ts';
import type { Learnt } from './learner.ts';
import { LearnerDns } from './learner-dns.ts';
import { LearnerGate } from './learner-gate.ts';

/** Of this file alone: what others open meanwhile is elsewhere. */
const ADDRESS = '127.77.1.2';

async function learn(name: string): Promise<Learnt> {
  if (name.startsWith('broken')) throw new Error('a defect');
  return name.startsWith('good') ? { outcome: 'found', addresses: ['127.240.0.1'] } : { outcome: 'unknown' };
}

function question(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
}

async function bound(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  return socket;
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  const port = await new Promise<number>((resolve) => {
    socket.bind(0, ADDRESS, () => resolve(socket.address().port));
  });
  await new Promise<void>((resolve) => {
    socket.close(resolve);
  });
  return port;
}

test('names: nonsense and a defect are not answered, and what comes after them is', async (t) => {
  const port = await freeUdpPort();
  const dns = new LearnerDns(learn, createLog('error'));
  t.after(() => dns.close());
  dns.listen({ address: ADDRESS, port });
  const socket = await bound(t);
  const answers: Buffer[] = [];
  const answered = new Promise<void>((resolve) => {
    socket.on('message', (message) => {
      answers.push(message);
      if (answers.length === 2) resolve();
    });
  });
  const looped = Buffer.concat([question('x').subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
  const asked = [Buffer.alloc(0), Buffer.alloc(600, 0xff), looped, question('broken.mesh'), question('good.mesh')];
  for (const one of [...asked, question('nobody.mesh')]) socket.send(one, port, ADDRESS);
  await answered;
  // Codes 0 and 3, with one address and without.
  assert.deepEqual(
    answers.map((answer) => [answer.readUInt8(3) & 0x0f, answer.readUInt16BE(6)]).toSorted(([a = 0], [b = 0]) => a - b),
    [
      [0, 1],
      [3, 0],
    ],
  );
});

test('requests: a defect is a refusal, never a way past', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'learner-'));
  t.after(async () => rm(dir, { recursive: true }));
  const path = join(dir, 'learner.sock');
  const gate = await LearnerGate.open(path, undefined, learn);
  t.after(() => gate.close());
  const status = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const outgoing = request({ socketPath: path, headers: { host } }, (incoming) => {
        incoming.resume().once('end', () => resolve(incoming.statusCode));
      });
      outgoing.setTimeout(30_000, () => outgoing.destroy(new Error('no answer in 30 s')));
      outgoing.once('error', reject);
      outgoing.end();
    });
  assert.equal(await status('good.mesh:80'), 200);
  assert.equal(await status('broken.mesh'), 503);
  assert.equal(await status('nobody.mesh'), 200);
});
