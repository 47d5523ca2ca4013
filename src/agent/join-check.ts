/** `trysail join --check`: whether this host has joined and its credential is valid, without changing anything. */
import { loadMeshConfig } from './agent-files.ts';
import { credentialOf, settingsFrom, textOf } from './join-host.ts';

export interface JoinState {
  readonly joined: boolean;
  /** Why not, in one word for programs. */
  readonly reason?: 'not-configured' | 'other-provider' | 'no-credential' | 'expired';
  /** One sentence. */
  readonly text: string;
  readonly host?: string;
  readonly trustDomain?: string;
  readonly spiffeId?: string;
  /** ISO 8601. */
  readonly credentialEnds?: string;
  readonly nextRenewal?: string;
}

/**
 * @param configFile path of agent.yaml
 * @throws TrysailError CONFIGURATION_INVALID, MESH_CONFIG_INVALID, JOIN_FORBIDDEN
 */
export async function joinState(configFile: string, nowMs: number = Date.now()): Promise<JoinState> {
  if ((await textOf(configFile)) === undefined) {
    return { joined: false, reason: 'not-configured', text: `This host has not joined: there is no ${configFile}.` };
  }
  const settings = await settingsFrom(configFile);
  const { provider } = settings.identity;
  if (provider !== 'trysail-ca') {
    const text = `This host needs no join: its identity.provider is ${provider}.`;
    return { joined: false, reason: 'other-provider', text, host: settings.host.name };
  }
  const { config } = await loadMeshConfig(settings.mesh.configFile);
  const { trustDomain } = config;
  const host = settings.host.name;
  const credential = await credentialOf(settings, trustDomain);
  if (credential === undefined) {
    const text = `${host} has not joined ${trustDomain}: it has no credential.`;
    return { joined: false, reason: 'no-credential', text, host, trustDomain };
  }
  const { notAfterMs, spiffeId } = credential.facts;
  const credentialEnds = new Date(notAfterMs).toISOString();
  const known = { host, trustDomain, ...(spiffeId === undefined ? {} : { spiffeId }), credentialEnds };
  if (notAfterMs <= nowMs) {
    const text = `The credential of ${host} ended at ${credentialEnds}; a running agent asks the CA for a new one.`;
    return { joined: false, reason: 'expired', text, ...known };
  }
  const nextRenewal = new Date(credential.renewAtMs).toISOString();
  return {
    joined: true,
    text: `${host} has joined ${trustDomain}, until ${credentialEnds} and renewed before.`,
    ...known,
    nextRenewal,
  };
}
