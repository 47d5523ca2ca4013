/** Two hosts of ours without Consul: a frontend with an upstream listener, a backend with an application behind it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type LocalCa, type LocalHost, startCa, startHost } from '../test/support/local-mesh.ts';
import { freePorts } from '../test/support/ports.ts';
import type { BenchOwner } from './owner.ts';

export interface Pair {
  readonly ca: LocalCa;
  readonly frontend: LocalHost;
  readonly backend: LocalHost;
  /** The backend as applications on the frontend's host reach it. */
  readonly url: string;
}

/** Starts a CA and both hosts; `appPort` on 127.0.0.1 is the application behind the backend. */
export async function startPair(owner: BenchOwner, dir: string, appPort: number): Promise<Pair> {
  const resources = join(dir, 'resources');
  await mkdir(resources, { recursive: true });
  const [servicePort = 0, upstreamPort = 0] = await freePorts(2);
  const backendAddress = '127.0.11.2';
  await writeFile(
    join(resources, 'backend.yaml'),
    JSON.stringify({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'backend', namespace: 'default' },
      spec: {
        hosts: ['backend.default.mesh'],
        location: 'MESH_INTERNAL',
        resolution: 'STATIC',
        ports: [{ number: servicePort, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: backendAddress, serviceAccount: 'backend' }],
      },
    }),
  );
  const ca = await startCa(owner, dir);
  const common = { dir, resources, ca };
  const backend = await startHost(owner, {
    ...common,
    name: 'backend',
    address: backendAddress,
    services: [{ name: 'backend', port: servicePort, protocol: 'HTTP', application: `127.0.0.1:${appPort}` }],
  });
  const frontend = await startHost(owner, {
    ...common,
    name: 'frontend',
    address: '127.0.11.1',
    services: [{ name: 'frontend' }],
    upstreams: [{ service: 'backend', listen: `127.0.0.1:${upstreamPort}` }],
  });
  return { ca, frontend, backend, url: `http://127.0.0.1:${upstreamPort}/` };
}
