/** The smallest mesh that can be wrong: a frontend that calls a backend, each on a host of its own, over Consul and a CA. */
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startConsul, type TestConsul } from '../support/consul.ts';
import { eventually } from '../support/eventually.ts';
import { type LocalCa, type LocalHost, startCa, startHost } from '../support/local-mesh.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { tempDir } from '../support/temp-dir.ts';

export interface TwoHosts {
  readonly dir: string;
  readonly resources: string;
  readonly consul: TestConsul;
  readonly ca: LocalCa;
  readonly frontend: LocalHost;
  readonly backend: LocalHost;
  /** The port by which the backend is known, on `backendAddress`. */
  readonly servicePort: number;
  readonly backendAddress: string;
  /** The backend's application, which answers 200 with the request's headers as JSON. */
  readonly application: Application;
  /** The backend as applications on the frontend's host reach it. */
  readonly url: string;
  /** Writes a resource file for both hosts. */
  resource(name: string, ...documents: readonly object[]): Promise<void>;
}

export interface Application {
  readonly port: number;
  readonly requests: IncomingMessage['headers'][];
  readonly server: Server;
}

/** An HTTP application on `address` that remembers the headers it was sent and answers them as JSON. */
export async function startApplication(t: TestContext, address = '127.0.0.1', port = 0): Promise<Application> {
  const requests: IncomingMessage['headers'][] = [];
  // Node would close what Envoy has not used for some seconds, perhaps in the moment in which Envoy uses it again.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    if (request.url !== '/health') requests.push(request.headers);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(request.headers));
  });
  await new Promise<void>((resolve) => {
    server.listen(port, address, resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('not a TCP server');
  return { port: bound.port, requests, server };
}

/** A `Service` record for the backend. */
export function backendRecord(port: number, tls: 'required' | 'migrating' = 'required'): object {
  return {
    apiVersion: 'trysail.dev/v1',
    kind: 'Service',
    metadata: { name: 'backend', namespace: 'default' },
    spec: { ports: [{ number: port, name: 'http', protocol: 'HTTP' }], tls },
  };
}

let nextHost = 0;

/** An own /24 of loopback for each mesh, so that test files may run side by side. */
export function loopbackNet(): string {
  nextHost += 1;
  return `127.${20 + (process.pid % 200)}.${nextHost}`;
}

/** Starts everything and waits until a first request has passed. */
export async function startTwoHosts(
  t: TestContext,
  meshConfig: Readonly<Record<string, unknown>> = {},
): Promise<TwoHosts> {
  const dir = await tempDir(t);
  const resources = join(dir, 'resources');
  await mkdir(resources);
  const resource = async (name: string, ...documents: readonly object[]): Promise<void> => {
    await writeFile(join(resources, name), documents.map((document) => JSON.stringify(document)).join('\n---\n'));
  };
  const consul = await startConsul(t);
  const ca = await startCa(t, dir);
  const [servicePort = 0] = await freePorts(1);
  const upstreamPort = await freePort();
  const application = await startApplication(t);
  const net = loopbackNet();
  await resource('backend.yaml', backendRecord(servicePort));
  const common = { dir, resources, ca, consul: consul.address, meshConfig };
  const backend = await startHost(t, {
    ...common,
    name: 'backend-host',
    address: `${net}.2`,
    services: [
      {
        name: 'backend',
        version: 'v1',
        port: servicePort,
        protocol: 'HTTP',
        application: `127.0.0.1:${application.port}`,
        check: { http: '/health', interval: '1s', timeout: '30s' },
      },
    ],
  });
  const frontend = await startHost(t, {
    ...common,
    name: 'frontend-host',
    address: `${net}.1`,
    services: [{ name: 'frontend' }],
    upstreams: [{ service: 'backend', listen: `127.0.0.1:${upstreamPort}` }],
  });
  await Promise.all([backend.ready(), frontend.ready()]);
  const url = `http://127.0.0.1:${upstreamPort}`;
  await eventually('a first request passes', async () => (await fetch(url)).status === 200);
  return {
    dir,
    resources,
    consul,
    ca,
    frontend,
    backend,
    servicePort,
    backendAddress: `${net}.2`,
    application,
    url,
    resource,
  };
}
