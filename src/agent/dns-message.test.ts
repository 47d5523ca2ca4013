import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readQuestion, TYPE_A, TYPE_AAAA, writeAnswer } from './dns-message.ts';

function query(name: string, type: number): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([Buffer.from('abcd01000001000000000000', 'hex'), ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

test('a question is read, in lower case', () => {
  const question = readQuestion(query('Reviews.default.mesh', TYPE_A));
  assert.deepEqual([question?.id, question?.name, question?.type], [0xabcd, 'reviews.default.mesh', TYPE_A]);
});

test('an answer has the addresses of the family that was asked for', () => {
  const addresses = ['127.240.0.1', '::ffff:127.240.0.1', '2001:2::1'];
  const a = readQuestion(query('a.mesh', TYPE_A));
  const aaaa = readQuestion(query('a.mesh', TYPE_AAAA));
  assert.ok(a !== undefined && aaaa !== undefined);
  const answer = writeAnswer(a, 'found', addresses, 30_000);
  assert.equal(answer.readUInt16BE(6), 1);
  assert.deepEqual([...answer.subarray(-4)], [127, 240, 0, 1]);
  assert.equal(answer.readUInt32BE(answer.length - 10), 30);
  const answer6 = writeAnswer(aaaa, 'found', addresses, 30_000);
  assert.equal(answer6.readUInt16BE(6), 2);
  assert.equal(answer6.subarray(-16).toString('hex'), '20010002000000000000000000000001');
  assert.match(answer6.toString('hex'), /00000000000000000000ffff7ff00001/);
});

test('a refusal says why', () => {
  const question = readQuestion(query('a.mesh', TYPE_A));
  assert.ok(question !== undefined);
  assert.deepEqual(
    (['unknown', 'failed'] as const).map((code) => writeAnswer(question, code, [], 0).readUInt16BE(2) & 15),
    [3, 2],
  );
});

test('what is no question is left alone', () => {
  const good = query('reviews.default.mesh', TYPE_A);
  for (let length = 0; length < good.length; length += 1)
    assert.equal(readQuestion(good.subarray(0, length)), undefined, `${length} bytes`);
  const response = Buffer.from(good);
  response.writeUInt8(0x81, 2);
  assert.equal(readQuestion(response), undefined);
  for (let i = 0; i < 2000; i += 1) {
    const noise = randomBytes(i % 80);
    assert.doesNotThrow(() => readQuestion(noise), noise.toString('hex'));
  }
});
