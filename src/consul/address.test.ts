import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TrysailError } from '../lib/errors.ts';
import { isLocalAddress, parseConsulAddress } from './address.ts';

test('the three forms, with default ports', () => {
  const at = (text: string): unknown => {
    const { text: _, ...rest } = parseConsulAddress(text);
    return rest;
  };
  assert.deepEqual(at('http://10.0.0.1'), { kind: 'http', host: '10.0.0.1', port: 8500 });
  assert.deepEqual(at('http://10.0.0.1:80/'), { kind: 'http', host: '10.0.0.1', port: 80 });
  assert.deepEqual(at('https://consul.example'), { kind: 'https', host: 'consul.example', port: 8501 });
  assert.deepEqual(at('https://[::1]:443'), { kind: 'https', host: '::1', port: 443 });
  assert.deepEqual(at('unix:///run/consul/http.sock'), { kind: 'unix', path: '/run/consul/http.sock' });
});

test('anything else is refused with the forms that there are, and without its password', () => {
  for (const text of ['', '127.0.0.1:8500', 'ftp://x', 'unix://relative', 'unix:///', 'http://x/v1', 'http://:8500']) {
    assert.throws(
      () => parseConsulAddress(text),
      (error) =>
        error instanceof TrysailError &&
        error.code === 'CONSUL_ADDRESS_INVALID' &&
        (error.remedy ?? '').includes('unix:///'),
      text,
    );
  }
  assert.throws(
    () => parseConsulAddress('http://user:hunter2@consul:8500'),
    (error) => error instanceof Error && !error.message.includes('hunter2'),
  );
});

test('what stays on the host is known', () => {
  for (const text of ['http://127.0.0.1', 'http://127.9.9.9', 'http://localhost', 'http://[::1]', 'unix:///x'])
    assert.equal(isLocalAddress(parseConsulAddress(text)), true, text);
  for (const text of ['http://10.0.0.1', 'https://127.example.com', 'http://consul'])
    assert.equal(isLocalAddress(parseConsulAddress(text)), false, text);
});
