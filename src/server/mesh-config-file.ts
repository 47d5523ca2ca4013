/** The mesh configuration that the CA hands to hosts when they join. */
import { readFile } from 'node:fs/promises';
import { errorCode, TrysailError } from '../lib/errors.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import { parseMeshConfig } from '../sources/mesh-config.ts';

/** gRPC's answers to hosts stay far below its bound. */
const MAX_BYTES = 262_144;

function invalid(message: string): TrysailError {
  return new TrysailError('CONFIGURATION_INVALID', message, { remedy: 'Correct the file that ca.meshConfig names.' });
}

/**
 * The text of the file, read anew each time; undefined when none is configured.
 * @throws TrysailError CONFIGURATION_INVALID when it cannot be read, has errors, or names another trust domain
 */
export async function readMeshConfig(file: string | undefined, trustDomain: string): Promise<string | undefined> {
  if (file === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw invalid(`cannot read ${file} (${errorCode(cause) ?? 'unknown error'})`);
  }
  if (Buffer.byteLength(text) > MAX_BYTES) throw invalid(`${file} is larger than ${MAX_BYTES} bytes`);
  const { config, diagnostics } = parseMeshConfig(text, file);
  if (config === undefined) throw invalid(diagnostics.map(formatDiagnostic).join('\n'));
  if (config.trustDomain !== trustDomain) {
    throw invalid(`${file} says trustDomain ${config.trustDomain}, this CA signs for ${trustDomain}`);
  }
  return text;
}
