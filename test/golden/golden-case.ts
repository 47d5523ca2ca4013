/** A golden case: Istio YAML and a host in, Envoy resources and diagnostics out. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import * as z from 'zod/mini';
import { compareDiagnostics, type Diagnostic } from '../../src/model/diagnostic.ts';
import { DEFAULT_MESH_CONFIG } from '../../src/model/mesh-config.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { buildMesh } from '../../src/sources/build-mesh.ts';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';
import { parseResources } from '../../src/sources/resource-reader.ts';
import { diagnose } from '../../src/translate/diagnose.ts';
import { Translator } from '../../src/translate/translator.ts';
import type { Resources } from '../../src/xds/resource.ts';
import { resourcesJson } from '../../src/analysis/resources-json.ts';
import { hostFile, hostOf, identitiesOf } from './golden-host.ts';

export interface GoldenCase {
  readonly name: string;
  readonly dir: string;
  readonly resources: Resources;
  /** Whose certificates the resources name. */
  readonly identities: readonly SpiffeId[];
  /** The text of `envoy.yaml`. */
  readonly output: string;
  /** The text of `diagnostics.yaml`: what is said of the input, most severe first. */
  readonly diagnostics: string;
  readonly said: readonly Diagnostic[];
}

/** As people read it: where, what, and what to do about it. */
function written({ code, severity, object, source, path, message, remedy }: Diagnostic): object {
  const place = source === undefined ? undefined : `${source.file}:${source.line}`;
  return { code, severity, object, place, path, message, remedy };
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Reads and translates one folder. */
export function loadCase(dir: string, name: string): GoldenCase {
  const path = join(dir, name);
  const meshText = readOptional(join(path, 'mesh.yaml'));
  const parsed = meshText === undefined ? undefined : parseMeshConfig(meshText, 'mesh.yaml');
  const config = parsed === undefined ? DEFAULT_MESH_CONFIG : parsed.config;
  if (config === undefined) throw new Error(`${name}/mesh.yaml: ${JSON.stringify(parsed?.diagnostics)}`);
  const set = parseResources([{ file: 'in.yaml', text: readFileSync(join(path, 'in.yaml'), 'utf8') }]);
  const mesh = buildMesh(undefined, { config, resources: set, catalogue: undefined, localServices: [] });
  const spec = z.parse(hostFile, parse(readFileSync(join(path, 'host.yaml'), 'utf8')));
  const host = hostOf(spec, config);
  const translator = new Translator();
  const resources = translator.translate(mesh, host);
  const said = [
    ...(parsed?.diagnostics ?? []),
    ...mesh.diagnostics,
    ...diagnose(mesh, host),
    ...translator.failures,
  ].sort(compareDiagnostics);
  return {
    name,
    dir: path,
    said,
    diagnostics: stringify(said.map(written), { lineWidth: 0 }),
    resources,
    identities: identitiesOf(host),
    output: resourcesJson(resources, spec.show)
      .map((resource) => stringify(resource, { lineWidth: 0 }))
      .join('---\n'),
  };
}

export function caseNames(dir: string): readonly string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .toSorted();
}
