/** `trysail server`: starts its roles in order, tells systemd, stops them when the signal aborts. */

import { loadCa } from '../identity/ca-directory.ts';
import { CaServer, type CaServerStatus } from '../identity/ca-server.ts';
import { CertificateAuthority } from '../identity/certificate-authority.ts';
import { HostRecords } from '../identity/host-records.ts';
import { JoinTokens } from '../identity/join-tokens.ts';
import { TrysailError } from '../lib/errors.ts';
import { createLog, type Log } from '../lib/log.ts';
import { createNotifier } from '../platform/vm/notify.ts';
import { readFleetRoot } from './fleet-root-file.ts';
import { readMeshConfig } from './mesh-config-file.ts';
import { type CaSettings, loadServerSettings, type Role, type ServerSettings } from './server-settings.ts';

/** Requests in flight get this long to end. */
const GRACE_MS = 5000;
/** From here on the log says at every start, and once a day, that the CA certificate comes to its end. */
const ENDING_MS = 180 * 86_400_000;
const DAY_MS = 86_400_000;

export interface RunningServer {
  status(): { readonly ca: CaServerStatus | undefined };
  stop(): Promise<void>;
}

async function startCa(settings: CaSettings, log: Log): Promise<CaServer> {
  const { dir, names, listen, workloadLifetimeMs, hostLifetimeMs, reEnrolGraceMs, meshConfigFile, fleetRootFile } =
    settings;
  const material = await loadCa(dir);
  // At once, so that a fault of the file is the server's operator's and not the first host's.
  await readMeshConfig(meshConfigFile, material.trustDomain);
  await readFleetRoot(fleetRootFile);
  const server = new CaServer({
    authority: await CertificateAuthority.create(material),
    tokens: new JoinTokens(dir),
    hosts: new HostRecords(dir),
    names,
    log,
    workloadLifetimeMs,
    hostLifetimeMs,
    reEnrolGraceMs,
    readMeshConfig: async () => readMeshConfig(meshConfigFile, material.trustDomain),
    readFleetRoot: async () => readFleetRoot(fleetRootFile),
  });
  const address = await server.listen(listen);
  const { trustDomain, rootFingerprint, notAfterMs } = material;
  log.info({ address, trustDomain, rootFingerprint, names }, 'the CA serves');
  if (notAfterMs - Date.now() < ENDING_MS) {
    log.warn(
      { notAfter: new Date(notAfterMs).toISOString() },
      'the CA certificate comes to its end: plug in a new one',
    );
  }
  return server;
}

/** Starts the roles. Throws what a role throws; then none is left running. */
async function startServer(roles: readonly Role[], settings: ServerSettings, log: Log): Promise<RunningServer> {
  if (!roles.includes('ca'))
    throw new TrysailError('ROLE_UNKNOWN', 'no role was given', { remedy: 'Give --roles ca.' });
  if (settings.ca === undefined) {
    throw new TrysailError('CONFIGURATION_INVALID', 'the role "ca" needs the section "ca"', {
      remedy: 'Write "ca: { dir: … }" into server.yaml.',
    });
  }
  const ca = await startCa(settings.ca, log);
  const daily = setInterval(() => {
    const { caNotAfterMs, issued, refused } = ca.status();
    const fields = { issued, refused, caNotAfter: new Date(caNotAfterMs).toISOString() };
    log[caNotAfterMs - Date.now() < ENDING_MS ? 'warn' : 'info'](fields, 'the CA is alive');
  }, DAY_MS);
  return {
    status: () => ({ ca: ca.status() }),
    stop: async () => {
      clearInterval(daily);
      await ca.close(GRACE_MS);
    },
  };
}

/**
 * Serves until the signal aborts. Throws CONFIGURATION_INVALID, the CA's faults (`CA_…`), or CA_LISTEN_FAILED.
 * @param options.onReady called once everything serves
 */
export async function runServer(options: {
  readonly configFile: string;
  readonly roles: readonly Role[];
  readonly signal: AbortSignal;
  readonly onReady?: (server: RunningServer) => void;
}): Promise<void> {
  const settings = await loadServerSettings(options.configFile);
  const log = createLog(settings.log.level);
  const notifier = createNotifier();
  const server = await startServer(options.roles, settings, log);
  options.onReady?.(server);
  await notifier.ready(`serving ${options.roles.join(', ')}`);
  await new Promise<void>((resolve) => {
    if (options.signal.aborted) resolve();
    options.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await notifier.stopping();
  await server.stop();
  log.info({}, 'stopped');
}
