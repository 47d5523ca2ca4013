import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { parseRequest } from './called-request.ts';

test('parseRequest() reads what a person writes', () => {
  const request = parseRequest({
    to: 'reviews:9080/api?x=1',
    method: 'post',
    headers: ['End-User: jason', 'x: 1', 'X: 2'],
  });
  assert.deepEqual(
    [request.kind, request.host, request.port, request.method, request.path],
    ['http', 'reviews', 9080, 'POST', '/api?x=1'],
  );
  assert.equal(request.headers.get('end-user'), 'jason');
  assert.equal(request.headers.get('x'), '1,2');
  assert.equal(request.headers.get(':authority'), 'reviews:9080');
  assert.equal(parseRequest({ to: 'http://reviews' }).headers.get(':authority'), 'reviews');
  assert.equal(parseRequest({ to: 'http://a:80', headers: ['Host: b'] }).headers.get(':authority'), 'b');
});

test('parseRequest() knows connections that are no requests', () => {
  assert.deepEqual(
    [parseRequest({ to: 'https://db.example.com' }).port, parseRequest({ to: 'https://db.example.com' }).sni],
    [443, 'db.example.com'],
  );
  assert.equal(parseRequest({ to: 'tls://10.0.0.1:443' }).sni, undefined);
  assert.equal(parseRequest({ to: 'tls://10.0.0.1:443', sni: 'A.b' }).sni, 'a.b');
  assert.equal(parseRequest({ to: 'tcp://[2001:2::1]:5432' }).host, '2001:2::1');
});

test('parseRequest() refuses what is nothing to call', () => {
  for (const to of ['', 'ftp://a', 'tcp://a', 'http://a:0', 'http://a:99999', 'http://'])
    assert.throws(
      () => parseRequest({ to }),
      (error: unknown) => error instanceof TrysailError && error.code === 'REQUEST_INVALID',
      to,
    );
  assert.throws(() => parseRequest({ to: 'http://a', headers: ['no header'] }), { code: 'REQUEST_INVALID' });
  assert.throws(() => parseRequest({ to: 'http://a', method: 'A B' }), {
    code: 'REQUEST_INVALID',
    message: '"A B" is not a method of HTTP',
  });
});
