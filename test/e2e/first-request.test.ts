// The whole pipeline on real parts: Consul, CA, two agents, two Envoys.
import assert from 'node:assert/strict';
import { request as plainRequest } from 'node:http';
import { test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { eventually } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort } from '../support/ports.ts';
import { startApplication, startTwoHosts } from './two-hosts.ts';

/** Status code of a GET, or the error's code when the connection fails. */
async function get(host: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    const call = plainRequest({ host, port, agent: false, timeout: 30_000 }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.once('timeout', () => call.destroy(new Error('timeout')));
    call.once('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
    call.end();
  });
}

test('two hosts meet in Consul and speak mutual TLS', async (t) => {
  const mesh = await startTwoHosts(t);

  await t.test('the application sees who called, by SPIFFE id', async () => {
    const headers = (await (await fetch(mesh.url)).json()) as Record<string, string>;
    assert.match(headers['x-forwarded-client-cert'] ?? '', /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/frontend/);
  });

  await t.test('a caller cannot forge the header that says who called', async () => {
    const forged = { 'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/default/sa/admin' };
    const headers = (await (await fetch(mesh.url, { headers: forged })).json()) as Record<string, string>;
    assert.doesNotMatch(headers['x-forwarded-client-cert'] ?? '', /sa\/admin/);
  });

  await t.test('status says what is the case', async () => {
    const status = await mesh.backend.status();
    assert.equal(status.envoy.state, 'running');
    assert.equal(status.consul?.connected, true);
    assert.equal(status.certificates.workloads[0]?.spiffeId, 'spiffe://cluster.local/ns/default/sa/backend');
    await eventually('both healths are passing', async () => {
      const [service] = (await mesh.backend.status()).services;
      return (
        service?.registered === true && service.application.state === 'passing' && service.proxy.state === 'passing'
      );
    });
    const [upstream] = (await mesh.frontend.status()).upstreams;
    assert.equal(upstream?.tls, 'mtls');
    assert.deepEqual(upstream?.endpoints, { healthy: 1, total: 1 });
  });

  await t.test('PERMISSIVE takes plain text, STRICT refuses it, with no restart', async () => {
    assert.equal(await get(mesh.backendAddress, mesh.servicePort), 200);
    await mesh.resource('strict.yaml', {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: 'istio-system' },
      spec: { mtls: { mode: 'STRICT' } },
    });
    await eventually(
      'plain text is refused',
      async () => (await get(mesh.backendAddress, mesh.servicePort)) === 'ECONNRESET',
    );
    assert.equal((await fetch(mesh.url)).status, 200);
    await new Promise<void>((resolve, reject) => {
      const socket = tlsConnect({ host: mesh.backendAddress, port: mesh.servicePort, rejectUnauthorized: false });
      // Without a client certificate TLS 1.3 fails with the first read.
      socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'));
      socket.once('data', () => reject(new Error('TLS without a certificate was answered')));
      socket.once('error', () => resolve());
      socket.once('close', () => resolve());
    });
  });

  await t.test('rogue registrations of the service get no traffic', async () => {
    const rogue = await startApplication(t, '127.0.0.1');
    const impostorApplication = await startApplication(t, '127.0.0.1');
    const impostorPort = await freePort('127.0.0.1');
    const impostor = await startHost(t, {
      dir: mesh.dir,
      resources: `${mesh.dir}/impostor-resources`,
      ca: mesh.ca,
      name: 'impostor-host',
      address: '127.0.0.1',
      services: [
        {
          name: 'impostor',
          port: impostorPort,
          protocol: 'HTTP',
          application: `127.0.0.1:${impostorApplication.port}`,
        },
      ],
    });
    await impostor.ready();
    const register = async (id: string, port: number, meta: Record<string, string>): Promise<void> => {
      const body = { ID: id, Name: 'backend', Address: '127.0.0.1', Port: port, Meta: meta };
      const response = await fetch(`${mesh.consul.address}/v1/agent/service/register`, {
        method: 'PUT',
        body: JSON.stringify(body),
      });
      assert.equal(response.status, 200);
    };
    await register('rogue-plain', rogue.port, { 'service-port': String(mesh.servicePort) });
    await register('rogue-claims-plain-port', rogue.port, {
      'trysail-tls': 'mtls',
      'service-port': String(mesh.servicePort),
    });
    await register('rogue-other-identity', impostorPort, {
      'trysail-tls': 'mtls',
      'service-port': String(mesh.servicePort),
    });
    await eventually('the rogue endpoints are in the frontend', async () => {
      const [upstream] = (await mesh.frontend.status()).upstreams;
      return (upstream?.endpoints.total ?? 0) >= 3;
    });
    for (let i = 0; i < 60; i += 1) await (await fetch(mesh.url)).text();
    assert.deepEqual([rogue.requests.length, impostorApplication.requests.length], [0, 0]);
    for (const id of ['rogue-plain', 'rogue-claims-plain-port', 'rogue-other-identity']) {
      await fetch(`${mesh.consul.address}/v1/agent/service/deregister/${id}`, { method: 'PUT' });
    }
  });
});
