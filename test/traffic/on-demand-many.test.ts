// Many services that nobody has declared, called for the first time while others are being learnt.
import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConsul } from '../support/consul.ts';
import { PATIENCE_MS } from '../support/eventually.ts';
import { startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';

test('sixty services are learnt one soon after the other, and each first request meets its rules', async (t) => {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const consul = await startConsul(t);
  const [dnsPort = 0, proxyPort = 0, servicePort = 0] = await freePorts(3);
  const port = await freePort();
  const server = createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
    incoming.resume();
    response.end('ok');
  });
  await new Promise<void>((resolve) => {
    server.listen(port, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const names = Array.from({ length: 60 }, (_, i) => `s${i}`);
  await writeFile(
    join(resources, 'a.yaml'),
    names
      .flatMap((name) => [
        {
          apiVersion: 'trysail.dev/v1',
          kind: 'Service',
          metadata: { name, namespace: 'default' },
          spec: { ports: [{ number: servicePort, name: 'm', protocol: 'HTTP' }], tls: 'migrating' },
        },
        {
          apiVersion: 'networking.istio.io/v1',
          kind: 'VirtualService',
          metadata: { name },
          spec: {
            hosts: [name],
            http: [
              {
                fault: { abort: { httpStatus: 418, percentage: { value: 100 } } },
                route: [{ destination: { host: name } }],
              },
            ],
          },
        },
      ])
      .map((d) => JSON.stringify(d))
      .join('\n---\n'),
  );
  for (const name of names)
    await fetch(`${consul.address}/v1/agent/service/register`, {
      method: 'PUT',
      body: JSON.stringify({ ID: name, Name: name, Address: '127.0.0.1', Port: port }),
    });
  const host = await startHost(t, {
    dir,
    resources,
    consul: consul.address,
    name: 'c',
    address: '127.0.0.1',
    services: [{ name: 'caller' }],
    overrides: {
      dns: { enabled: true, listen: `127.0.0.1:${dnsPort}`, addresses: ['127.235.0.0/16'] },
      discovery: { proxy: `127.0.0.1:${proxyPort}` },
    },
  });
  await host.ready();
  const send = (address: string, p: number, h: string): Promise<number | string> =>
    new Promise((resolve) => {
      const call = request(
        { host: address, port: p, headers: { host: h }, agent: false, method: 'POST' },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      call.once('error', (error) => resolve(String(error)));
      call.end('x');
    });
  const first = async (name: string, i: number): Promise<number | string> => {
    if (i % 2 === 1) return send('127.0.0.1', proxyPort, `${name}.default.mesh`);
    const resolver = new Resolver({ timeout: 20_000, tries: 1 });
    resolver.setServers([`127.0.0.1:${dnsPort}`]);
    const [a = ''] = await resolver.resolve4(`${name}.mesh`).catch((e: unknown) => [String(e)]);
    return a.startsWith('127') ? send(a, servicePort, `${name}.default.mesh`) : a;
  };
  const end = Date.now() + PATIENCE_MS;
  let again = 0;
  const results = await Promise.all(
    names.map(async (name, i) => {
      await sleep(i * 37);
      // Whom a busy machine has waiting for more than two seconds is refused, and asks again: nobody passes the rules.
      for (;;) {
        const code = await first(name, i);
        if (!/^503$|ENOTFOUND|ESERVFAIL|ETIMEOUT/.test(String(code)) || Date.now() > end) return `${i} ${code}`;
        again += 1;
        await sleep(100);
      }
    }),
  );
  t.diagnostic(`${again} asked again`);
  assert.deepEqual(
    results.filter((r) => !r.endsWith(' 418')),
    [],
  );
});
