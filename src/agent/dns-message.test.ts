import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { readQuestion, writeAnswer } from './dns-message.ts';

const TYPE_A = 1;
const TYPE_AAAA = 28;
const TYPE_HTTPS = 65;
const TYPE_PRIVATE = 65_280;

function query(name: string, type: number): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  return Buffer.concat([
    Buffer.from('abcd01000001000000000000', 'hex'),
    ...labels,
    Buffer.from([0, type >> 8, type & 255, 0, 1]),
  ]);
}

test('a question is read, in lower case', () => {
  const question = readQuestion(query('Reviews.default.mesh', TYPE_A));
  assert.deepEqual([question?.id, question?.name, question?.family], [0xabcd, 'reviews.default.mesh', 4]);
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

test('an answer repeats the question as it came, whatever it asks for', () => {
  for (const type of [TYPE_A, TYPE_AAAA, TYPE_HTTPS, TYPE_PRIVATE]) {
    const asked = query('ReViews.dEfault.mesh', type);
    const question = readQuestion(asked);
    assert.ok(question !== undefined);
    assert.equal(question.family, { [TYPE_A]: 4, [TYPE_AAAA]: 6 }[type]);
    const answer = writeAnswer(question, 'unknown', [], 0);
    assert.deepEqual(answer.subarray(12), asked.subarray(12));
    assert.deepEqual([answer.readUInt16BE(0), answer.readUInt16BE(2)], [0xabcd, 0x8583]);
  }
});

test('a question with EDNS is one', () => {
  const asked = query('a.mesh', TYPE_A);
  asked.writeUInt16BE(1, 10);
  const cookie = '000a00080011223344556677';
  const option = Buffer.from(`00002904d000000000000c${cookie}`, 'hex');
  assert.equal(readQuestion(Buffer.concat([asked, option]))?.name, 'a.mesh');
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
  const chaos = Buffer.from(good);
  chaos.writeUInt8(3, good.length - 1);
  assert.equal(readQuestion(chaos), undefined);
  const noText = Buffer.from(good);
  noText.writeUInt8(0xff, 14);
  assert.equal(readQuestion(noText), undefined);
  assert.equal(readQuestion(Buffer.concat([good, Buffer.alloc(500)])), undefined);
  for (let i = 0; i < 2000; i += 1) {
    const noise = randomBytes(i % 80);
    assert.doesNotThrow(() => readQuestion(noise), noise.toString('hex'));
  }
});
