/** The public key of the fleet's root that the CA hands to hosts when they join. */
import { readFile } from 'node:fs/promises';
import { publicKeysOf } from '../fleet/signing-key.ts';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';

/**
 * The text of the file, read anew each time; undefined when none is configured.
 * @throws TrysailError CONFIGURATION_INVALID when it cannot be read, or holds anything but public keys
 */
export async function readFleetRoot(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const remedy = 'Name the fleet-root.pub.pem that "trysail fleet init" wrote by ca.fleetRoot.';
  let text: string;
  try {
    text = await readFile(file, 'utf8');
    publicKeysOf(text, file);
  } catch (cause) {
    const why = cause instanceof TrysailError ? errorMessage(cause) : `cannot read ${file} (${errorCode(cause) ?? ''})`;
    throw new TrysailError('CONFIGURATION_INVALID', why, { remedy, cause });
  }
  return text;
}
