// An agent in the role of a gateway: TLS from outside, mutual TLS to a service that Consul knows, a certificate renewed.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { startCa, startHost } from '../support/local-mesh.ts';
import { freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';
import { callTls } from '../traffic/tls-client.ts';
import { call } from '../translate/applications.ts';
import { testAuthority } from '../translate/certificates.ts';
import { diagnosed, untilStatus } from './agent-state.ts';
import { backendRecord, loopbackNet, startApplication } from './two-hosts.ts';

test('a gateway host: HTTPS from outside reaches a service over mutual TLS; a host in the mesh finds the gateway', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  const credentials = join(dir, 'credentials');
  await Promise.all([mkdir(resources), mkdir(join(credentials, 'www'), { recursive: true })]);
  const authority = await testAuthority();
  const put = async (): Promise<void> => {
    const pair = await authority.issue('www.test');
    await writeFile(join(credentials, 'www', 'tls.crt'), pair.certificateChainPem);
    await writeFile(join(credentials, 'www', 'tls.key'), pair.privateKeyPem, { mode: 0o600 });
  };
  await put();
  const net = loopbackNet();
  const application = await startApplication(t);
  const [servicePort = 0] = await freePorts(1, `${net}.2`);
  const [https = 0, http = 0, mesh = 0] = await freePorts(3, `${net}.1`);
  const [toEgress = 0] = await freePorts(1);
  const documents = [
    backendRecord(servicePort),
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: 'istio-system' },
      spec: { mtls: { mode: 'STRICT' } },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'public' },
      spec: {
        selector: { istio: 'ingress' },
        servers: [
          {
            port: { number: 443, name: 'https', protocol: 'HTTPS' },
            hosts: ['www.test'],
            tls: { mode: 'SIMPLE', credentialName: 'www' },
          },
          {
            port: { number: 80, name: 'http', protocol: 'HTTP' },
            hosts: ['www.test'],
            tls: { httpsRedirect: true },
          },
          {
            port: { number: 8443, name: 'https-mesh', protocol: 'HTTPS' },
            hosts: ['ingress.default.mesh'],
            tls: { mode: 'ISTIO_MUTUAL' },
          },
          {
            port: { number: 9443, name: 'https-late', protocol: 'HTTPS' },
            hosts: ['late.test'],
            tls: { mode: 'SIMPLE', credentialName: 'late' },
          },
          { port: { number: 81, name: 'http-taken', protocol: 'HTTP' }, hosts: ['www.test'] },
        ],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'www' },
      spec: {
        hosts: ['www.test', 'ingress.default.mesh'],
        gateways: ['public'],
        http: [{ route: [{ destination: { host: 'backend' } }] }],
      },
    },
  ];
  await writeFile(join(resources, 'all.yaml'), documents.map((one) => JSON.stringify(one)).join('\n---\n'));
  const consul = await startConsul(t);
  const ca = await startCa(t, dir);
  const common = { dir, resources, ca, consul: consul.address };
  const backend = await startHost(t, {
    ...common,
    name: 'backend-host',
    address: `${net}.2`,
    services: [{ name: 'backend', port: servicePort, protocol: 'HTTP', application: `127.0.0.1:${application.port}` }],
  });
  const [late = 0, taken = 0] = await freePorts(2, `${net}.1`);
  const squatter = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => {
    squatter.listen(taken, `${net}.1`, resolve);
  });
  t.after(() => squatter.close());
  const tokenFile = join(dir, 'gateway.token');
  await writeFile(tokenFile, await ca.token('default/ingress'), { mode: 0o600 });
  const gateway = await startHost(t, {
    ...common,
    ca: undefined,
    name: 'gateway-host',
    address: `${net}.1`,
    overrides: {
      identity: { provider: 'trysail-ca', ca: { address: ca.address, joinTokenFile: tokenFile } },
      paths: { state: join(dir, 'gateway-host/state'), run: join(dir, 'gateway-host/run'), credentials },
      gateways: [
        {
          name: 'ingress',
          address: `${net}.1`,
          ports: { 443: https, 80: http, 81: taken, 8443: mesh, 9443: late },
          register: { port: 8443 },
        },
      ],
    },
  });
  const caller = await startHost(t, {
    ...common,
    name: 'caller-host',
    address: `${net}.3`,
    services: [{ name: 'caller' }],
    upstreams: [{ service: 'ingress', listen: `127.0.0.1:${toEgress}` }],
  });
  await Promise.all([backend.ready(), gateway.ready(), caller.ready()]);

  const ask = { serverName: 'www.test', ca: authority.rootPem, address: `${net}.1` };
  const answer = await eventually('an answer', async () => {
    const one = await callTls(https, ask);
    assert.equal(one.status, 200);
    return one;
  });
  const headers = JSON.parse(answer.body) as Record<string, string>;
  assert.match(headers['x-forwarded-client-cert'] ?? '', /sa\/ingress/, 'the identity of the gateway');
  assert.equal(headers['x-forwarded-proto'], 'https');
  const redirect = await call(http, { host: `${net}.1`, headers: { host: 'www.test' } });
  assert.equal(redirect.headers['location'], 'https://www.test/');

  await eventually('the mesh finds the gateway in Consul', async () => {
    const one = await call(toEgress, { headers: { host: 'ingress.default.mesh' } });
    assert.equal(one.status, 200);
  });

  const status = await untilStatus(gateway, 'the port is said to be taken', (s) => diagnosed(s, 'TRY0103') !== '');
  assert.deepEqual(
    (status.gateways ?? []).map(({ gateway: name, port, serving }) => `${name} ${port} ${serving}`),
    [
      'default/public 443 true',
      'default/public 80 true',
      'default/public 8443 true',
      'default/public 9443 false',
      'default/public 81 false',
    ],
  );
  const codes = status.diagnostics.map(({ code, object }) => `${code} ${object ?? ''}`);
  assert.ok(codes.includes('IST0101 credential late'), codes.join('\n'));
  assert.ok(codes.includes('TRY0420 Gateway default/public'), codes.join('\n'));

  assert.ok(codes.includes('TRY0103 gateway default/ingress'), codes.join('\n'));
  squatter.close();
  await eventually('a port is taken when it is free', async () =>
    assert.equal((await call(taken, { host: `${net}.1`, headers: { host: 'www.test' } })).status, 200),
  );

  await put();
  await eventually('the renewed certificate is shown', async () =>
    assert.notEqual((await callTls(https, ask)).serial, answer.serial),
  );
});
