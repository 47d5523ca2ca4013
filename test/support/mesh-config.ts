/** The mesh configuration that some YAML makes. */
import { formatDiagnostic } from '../../src/model/diagnostic.ts';
import type { MeshConfig } from '../../src/model/mesh-config.ts';
import { parseMeshConfig } from '../../src/sources/mesh-config.ts';

/** Throws what is wrong with it, warnings as well. */
export function meshConfigOf(yaml: string): MeshConfig {
  const { config, diagnostics } = parseMeshConfig(yaml, 'mesh.yaml');
  if (config === undefined || diagnostics.length > 0) throw new Error(diagnostics.map(formatDiagnostic).join('\n'));
  return config;
}
