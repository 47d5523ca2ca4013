/**
 * The resources that hold on a host, read once: for commands, which follow no changes and ask nobody. Its own files, and
 * the fleet's configuration as the agent has kept it.
 */
import { resourceFiles } from '../fleet/fleet-resources.ts';
import { KeptFleet } from '../fleet/kept-fleet.ts';
import { openPublishers, type Publishers } from '../fleet/publishers.ts';
import { isRefused } from '../fleet/signed-document.ts';
import { readPublicKeys } from '../fleet/signing-key.ts';
import { silentLog } from '../lib/log.ts';
import { mergeResources } from '../sources/merge-resources.ts';
import { ResourceDirectory } from '../sources/resource-directory.ts';
import { type ResourceFile, readResources as readFiles } from '../sources/resource-reader.ts';
import { EMPTY_RESOURCES, type ResourceSet } from '../sources/resource-set.ts';
import type { Configuration } from './configuration.ts';
import { namespacesOf, trustedNamespaces } from './fleet-side.ts';
import { trustedResources } from './fleet-trust.ts';

/** What is in the folder now, with its diagnostics; nothing where there is no folder. */
export async function readResources(dir: string): Promise<ResourceSet> {
  const directory = new ResourceDirectory({ dir, log: silentLog(), onChange: () => undefined });
  try {
    return await directory.start();
  } finally {
    await directory.stop();
  }
}

async function keptPublishers(kept: KeptFleet, trustFile: string): Promise<Publishers | undefined> {
  const sealed = await kept.readMesh();
  const publishers = sealed === undefined ? undefined : openPublishers(sealed, await readPublicKeys(trustFile));
  return publishers === undefined || isRefused(publishers) ? undefined : publishers;
}

async function filesOf(kept: KeptFleet, namespace: string, publishers: Publishers): Promise<readonly ResourceFile[]> {
  const found = await kept.read(namespace, publishers);
  return found === undefined ? [] : resourceFiles(found.held, (hash) => found.bodies.get(hash));
}

/**
 * What holds on a host with this configuration: resource files, and of the fleet's configuration what an agent has kept
 * here, by the same rules as the agent's. What is kept and cannot be read (by this user) counts as if it were not there.
 */
export async function readHostResources(configuration: Configuration): Promise<ResourceSet> {
  const { settings, config } = configuration;
  const local = await readResources(settings.mesh.resourcesDir);
  const { fleet } = settings.mesh;
  if (fleet === undefined || settings.registry !== 'consul') return local;
  const kept = new KeptFleet(settings.paths.state);
  const publishers = await keptPublishers(kept, fleet.trustFile).catch(() => undefined);
  if (publishers === undefined) return local;
  const counting =
    publishers.document.localResources === 'allow' ? local : { ...EMPTY_RESOURCES, diagnostics: local.diagnostics };
  const files = new Map<string, readonly ResourceFile[]>();
  let resources = counting;
  for (;;) {
    // What is kept leads to further namespaces.
    const further = [...namespacesOf(configuration, resources)].filter((namespace) => !files.has(namespace));
    if (further.length === 0) return resources;
    for (const namespace of further) files.set(namespace, await filesOf(kept, namespace, publishers).catch(() => []));
    const { set } = readFiles(undefined, [...files.values()].flat());
    resources = mergeResources(undefined, trustedResources(set, trustedNamespaces(configuration), config), counting);
  }
}
