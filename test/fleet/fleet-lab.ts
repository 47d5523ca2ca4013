/** A fleet's configuration in a real Consul, as a publisher and its enemies work with it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ConsulClient, createConsulClient } from '../../src/consul/client.ts';
import { applyResources, type ChangeReport, type OpenFleet, openFleet } from '../../src/fleet/fleet.ts';
import { initialiseFleet } from '../../src/fleet/fleet-admin.ts';
import { readManifests } from '../../src/fleet/manifest.ts';
import { createSigningKey, publicHalf, type SigningKey } from '../../src/fleet/signing-key.ts';
import { startConsul, type TestConsul } from '../support/consul.ts';
import { tempDir } from '../support/temp-dir.ts';

export interface FleetLab {
  readonly dir: string;
  readonly consul: TestConsul;
  readonly client: ConsulClient;
  readonly fleet: OpenFleet;
  readonly root: SigningKey;
  /** May publish everything, and freeze. */
  readonly admin: SigningKey;
  /** File with the root's public key. */
  readonly trustFile: string;
  /** Publishes these resources as `admin`. */
  readonly apply: (...resources: readonly object[]) => Promise<ChangeReport>;
}

export async function startFleet(
  t: TestContext,
  options: { readonly localResources?: 'allow' | 'deny'; readonly consul?: Readonly<Record<string, unknown>> } = {},
): Promise<FleetLab> {
  const dir = await tempDir(t);
  const consul = await startConsul(t, options.consul);
  const client = createConsulClient({ address: consul.address });
  const [root, admin] = [createSigningKey(), createSigningKey()];
  const trustFile = join(dir, 'fleet-root.pem');
  await writeFile(trustFile, root.publicPem);
  await initialiseFleet(
    client,
    root,
    { name: 'admin', publicKey: publicHalf(admin), namespaces: ['*'], kinds: ['*'], mayFreeze: true },
    options.localResources ?? 'deny',
  );
  const fleet = await openFleet({ consul: consul.address, root: trustFile });
  t.after(() => {
    fleet.close();
    client.close();
  });
  return {
    dir,
    consul,
    client,
    fleet,
    root,
    admin,
    trustFile,
    apply: async (...resources) => applyResources(fleet, { manifests: manifestsOf(...resources) }, { key: admin }),
  };
}

/** Resources as a user's files would give them. */
export function manifestsOf(...resources: readonly object[]): ReturnType<typeof readManifests> {
  return readManifests(
    [{ file: 'in.yaml', text: resources.map((one) => JSON.stringify(one)).join('\n---\n') }],
    'shop',
  );
}

/** A VirtualService of the host of the same name that answers with a status of its own. */
export function answering(name: string, status: number, namespace = 'shop'): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name, namespace },
    spec: { hosts: [name], http: [{ directResponse: { status } }] },
  };
}
