// The same client over HTTPS with a client certificate and over a Unix socket, against a real Consul.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createConsulClient } from '../../src/consul/client.ts';
import { TrysailError } from '../../src/lib/errors.ts';
import { startConsul } from '../support/consul.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { writeTlsFiles } from './tls-files.ts';

const withCode = (code: string) => (error: unknown) => error instanceof TrysailError && error.code === code;

test('https with and without what Consul asks for', async (t) => {
  const dir = await tempDir(t);
  const files = await writeTlsFiles(dir);
  const ports = await freePorts(6);
  const [http = 0, server = 0, serf_lan = 0, serf_wan = 0, dns = 0, https = 0] = ports;
  await startConsul(
    t,
    {
      ports: { http, server, serf_lan, serf_wan, dns, https, grpc: -1 },
      ca_file: files.caFile,
      cert_file: files.serverCertFile,
      key_file: files.serverKeyFile,
      verify_incoming_https: true,
    },
    { ports, dir },
  );
  const { caFile, certFile, keyFile } = files;
  const address = `https://127.0.0.1:${https}`;
  const clients = {
    good: createConsulClient({ address, tls: { caFile, certFile, keyFile } }),
    unknownCa: createConsulClient({ address, tls: { certFile, keyFile } }),
    noCertificate: createConsulClient({ address, tls: { caFile } }),
    plain: createConsulClient({ address: `http://127.0.0.1:${https}` }),
    tlsToPlain: createConsulClient({ address: `https://127.0.0.1:${http}`, tls: { caFile } }),
    missingFile: createConsulClient({ address, tls: { caFile: join(dir, 'nothing.pem') } }),
  };
  t.after(() => {
    for (const client of Object.values(clients)) client.close();
  });
  const answer = await clients.good.health('consul');
  assert.equal(answer.value[0]?.node, 'server');
  // A blocking read on the same connection.
  assert.ok((await clients.good.health('consul', { index: answer.index, waitMs: 50 })).value.length === 1);
  await assert.rejects(clients.unknownCa.health('consul'), withCode('CONSUL_TLS'));
  await assert.rejects(clients.noCertificate.health('consul'), withCode('CONSUL_TLS'));
  await assert.rejects(clients.plain.health('consul'), withCode('CONSUL_TLS'));
  await assert.rejects(clients.tlsToPlain.health('consul'), {
    code: 'CONSUL_TLS',
    message: /: what answers there does not speak TLS\.$/,
  });
  await assert.rejects(clients.missingFile.health('consul'), withCode('CONSUL_TLS_FILE'));
});

test('a Unix socket, with everything that the agent does there', async (t) => {
  const socket = join(await tempDir(t), 'consul.sock');
  await startConsul(t, { addresses: { http: `127.0.0.1 unix://${socket}` } });
  const client = createConsulClient({ address: `unix://${socket}` });
  t.after(() => client.close());
  const self = await client.agent.self();
  assert.deepEqual(
    { node: self.node, datacenter: self.datacenter, server: self.server },
    { node: 'server', datacenter: 'dc1', server: true },
  );
  assert.match(self.version, /^\d+\.\d+\.\d+/);
  const { index } = await client.health('web');
  const waiting = client.health('web', { index, waitMs: 60_000 });
  await client.agent.register({
    ID: 'web-1',
    Name: 'web',
    Address: '127.0.0.1',
    Port: 80,
    Tags: [],
    Meta: {},
    Weights: { Passing: 1, Warning: 1 },
    EnableTagOverride: false,
    Checks: [{ CheckID: 'web-1:ttl', Name: 'ttl', TTL: '60s' }],
  });
  let answer = await waiting;
  while (answer.value.length === 0) answer = await client.health('web', { index: answer.index, waitMs: 60_000 });
  assert.equal(answer.value[0]?.serviceId, 'web-1');
  assert.equal(await client.agent.updateCheck('web-1:ttl', 'warning', 'constant'), true);
  assert.equal((await client.agent.checks()).get('web-1:ttl')?.status, 'warning');
  assert.equal(await client.agent.updateCheck('unknown', 'passing', ''), false);
  assert.ok((await client.catalogServices()).value.has('web'));
  await client.agent.deregister('web-1');
  await client.agent.deregister('web-1');
  assert.equal(await client.agent.service('web-1'), undefined);
});

test('keys and values: compare-and-set, blocking reads, transactions', async (t) => {
  const consul = await startConsul(t);
  const client = createConsulClient({ address: consul.address });
  t.after(() => client.close());
  const { kv } = client;
  const bytes = (text: string): Buffer => Buffer.from(text);
  const key = 'trysail/v1/ns/ä b/head';
  assert.equal((await kv.get(key)).value, undefined);
  assert.equal(await kv.put(key, bytes('one'), { cas: 0 }), true);
  assert.equal(await kv.put(key, bytes('two'), { cas: 0 }), false);
  const first = await kv.get(key);
  assert.equal(Buffer.from(first.value?.value ?? []).toString(), 'one');
  const waiting = kv.get(key, { index: first.index, waitMs: 60_000 });
  const modifyIndex = first.value?.modifyIndex ?? 0;
  assert.deepEqual(
    await kv.transact([
      { verb: 'cas', key, value: Buffer.from([0, 255]), index: modifyIndex },
      { verb: 'set', key: 'trysail/v1/other', value: bytes('x') },
      { verb: 'check-not-exists', key: 'trysail/v1/third' },
    ]),
    { committed: true },
  );
  assert.deepEqual([...((await waiting).value?.value ?? [])], [0, 255]);
  const failed = await kv.transact([
    { verb: 'cas', key, value: bytes('late'), index: modifyIndex },
    { verb: 'set', key: 'trysail/v1/third', value: bytes('x') },
  ]);
  assert.ok(!failed.committed);
  assert.equal(failed.errors[0]?.operation, 0);
  assert.deepEqual((await kv.keys('trysail/v1/')).value, [key, 'trysail/v1/other']);
  assert.equal(await kv.delete('trysail/v1/other', { cas: 1 }), false);
  assert.equal(await kv.delete('trysail/v1/other'), true);
  assert.deepEqual((await kv.keys('trysail/v1/o')).value, []);
  await assert.rejects(kv.put('big', Buffer.alloc(512 * 1024 + 1)), withCode('CONSUL_VALUE_TOO_LARGE'));
  await assert.rejects(
    kv.transact(Array.from({ length: 65 }, () => ({ verb: 'delete', key: 'x' }) as const)),
    withCode('CONSUL_TRANSACTION_TOO_LARGE'),
  );
});
