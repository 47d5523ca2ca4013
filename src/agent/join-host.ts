/** What joining and leaving find on a host: its files, its settings, its credential. Reads, and changes nothing. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256Hex } from '../identity/certificate.ts';
import { type HostCredential, HostCredentialFile } from '../identity/host-credential.ts';
import { PrivateKey } from '../identity/private-key.ts';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import { silentLog } from '../lib/log.ts';
import { formatDiagnostic } from '../model/diagnostic.ts';
import type { AgentSettings } from './settings.ts';
import { loadAgentSettings } from './settings-load.ts';
import { thisMachine } from './this-machine.ts';

/**
 * The text of a file, undefined where there is none.
 * @throws TrysailError JOIN_FORBIDDEN when this user may not read it
 */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new TrysailError('JOIN_FORBIDDEN', `cannot read ${path}: ${errorMessage(error)}`, {
      remedy: 'Run this as root.',
      cause: error,
    });
  }
}

/**
 * The settings of agent.yaml, or of the text that it is going to have.
 * @throws TrysailError CONFIGURATION_INVALID with every fault
 */
export async function settingsFrom(file: string, text?: string): Promise<AgentSettings> {
  const sources = { file, flags: {}, env: process.env, machine: await thisMachine() };
  const loaded = loadAgentSettings(text === undefined ? sources : { ...sources, text });
  if ('settings' in loaded) return loaded.settings;
  throw new TrysailError('CONFIGURATION_INVALID', loaded.issues.map(formatDiagnostic).join('\n'), {
    remedy: 'Correct agent.yaml, or give other options.',
  });
}

/** SHA-256 of the key that this host would join with; undefined while it has none. */
export async function hostKeySha256(stateDir: string): Promise<string | undefined> {
  const pem = await textOf(join(stateDir, 'identity', 'host-key.pem'));
  try {
    return pem === undefined ? undefined : sha256Hex(new PrivateKey(pem).publicKeyDer());
  } catch {
    // Damaged: the agent makes a new one.
    return undefined;
  }
}

/**
 * This host's credential, ended or not; undefined where there is none of its name.
 * @throws TrysailError JOIN_FORBIDDEN when this user may not look
 */
export async function credentialOf(
  settings: Pick<AgentSettings, 'host' | 'paths'>,
  trustDomain: string,
): Promise<HostCredential | undefined> {
  await textOf(join(settings.paths.state, 'identity', 'host.json'));
  const file = new HostCredentialFile({
    stateDir: settings.paths.state,
    hostName: settings.host.name,
    trustDomain,
    log: silentLog(),
    random: () => 0.5,
  });
  return file.load();
}
