/** The certificate provider that agent.yaml names. */
import { readFile } from 'node:fs/promises';
import { type CertificateProvider, noCertificates } from '../identity/certificate-provider.ts';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { MeshConfig } from '../model/mesh-config.ts';
import type { AgentSettings } from './settings.ts';

/** The token's text; undefined when there is no file (any more), as after a join. */
async function readJoinToken(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    const text = (await readFile(file, 'utf8')).trim();
    return text === '' ? undefined : text;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new TrysailError('JOIN_TOKEN_UNREADABLE', `${file}: ${errorMessage(error)}`, {
      remedy: 'Make the join token readable for the user of the agent, and for nobody else.',
      cause: error,
    });
  }
}

/** Only the provider that is used is loaded. */
export async function createProvider(
  settings: AgentSettings,
  config: Pick<MeshConfig, 'trustDomain'>,
  log: Log,
): Promise<CertificateProvider> {
  const { provider, ca, files } = settings.identity;
  if (provider === 'files' && files !== undefined) {
    const { FilesProvider } = await import('../identity/files-provider.ts');
    return new FilesProvider(files);
  }
  if (provider === 'trysail-ca') {
    const { TrysailCaProvider } = await import('../identity/trysail-ca-provider.ts');
    return new TrysailCaProvider({
      stateDir: settings.paths.state,
      hostName: settings.host.name,
      trustDomain: config.trustDomain,
      addresses: ca.address === undefined ? [] : [ca.address],
      readJoinToken: () => readJoinToken(ca.joinTokenFile),
      log: log.child({ room: 'identity' }),
    });
  }
  return noCertificates();
}
