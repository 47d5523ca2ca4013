/** A CA on loopback, and what tests need to talk to it. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { initCa } from '../../src/identity/ca-directory.ts';
import { CaServer, type CaServerOptions } from '../../src/identity/ca-server.ts';
import { CertificateAuthority } from '../../src/identity/certificate-authority.ts';
import { type Clock, SYSTEM_CLOCK } from '../../src/identity/clock.ts';
import { HostRecords } from '../../src/identity/host-records.ts';
import { encodeJoinToken } from '../../src/identity/join-token.ts';
import { JoinTokens, type NewToken } from '../../src/identity/join-tokens.ts';
import { TrysailCaProvider } from '../../src/identity/trysail-ca-provider.ts';
import { type Log, silentLog } from '../../src/lib/log.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';
import { tempDir } from '../support/temp-dir.ts';

export const TRUST_DOMAIN = 'prod.example';
export const spiffe = (namespace: string, account: string): SpiffeId =>
  `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${account}` as SpiffeId;

interface ProviderOptions {
  readonly stateDir: string;
  readonly host?: string;
  readonly token?: () => string | undefined;
  readonly addresses?: readonly string[];
  readonly trustDomain?: string;
  readonly log?: Log;
  readonly clock?: Clock;
}

export interface MeshCa {
  readonly dir: string;
  readonly address: string;
  readonly rootFingerprint: string;
  readonly rootPem: string;
  readonly authority: CertificateAuthority;
  readonly tokens: JoinTokens;
  readonly hosts: HostRecords;
  readonly server: CaServer;
  /** Sets the CA's own clock this far ahead of the machine's. */
  setClockAhead(ms: number): void;
  /** The text of a new token: one use, one hour, `default/*` unless said otherwise. */
  token(options?: Partial<NewToken>): Promise<string>;
  /** A provider as the agent has it. */
  provider(options: ProviderOptions): TrysailCaProvider;
  stop(): Promise<void>;
  /** Serves again on the same address. */
  restart(options?: Partial<CaServerOptions>): Promise<void>;
}

export async function startMeshCa(
  t: Pick<TestContext, 'after'>,
  options: Partial<CaServerOptions> = {},
): Promise<MeshCa> {
  const dir = join(await tempDir(t), 'ca');
  const material = await initCa(dir, TRUST_DOMAIN);
  let aheadMs = 0;
  const now = (): number => Date.now() + aheadMs;
  const authority = await CertificateAuthority.create(material, now);
  const tokens = new JoinTokens(dir, now);
  const hosts = new HostRecords(dir);
  const serve = (more: Partial<CaServerOptions>): CaServer =>
    new CaServer({
      authority,
      tokens,
      hosts,
      names: ['localhost'],
      log: silentLog(),
      clock: { ...SYSTEM_CLOCK, now },
      ...options,
      ...more,
    });
  let server = serve({});
  const address = await server.listen('127.0.0.1:0');
  t.after(() => server.close(0));
  const newToken = async (more: Partial<NewToken> = {}): Promise<string> => {
    const { id, secret } = await tokens.create({ allow: ['default/*'], uses: 1, ttlMs: 3_600_000, ...more });
    return encodeJoinToken({ ca: [address], root: material.rootFingerprint, id, secret });
  };
  return {
    dir,
    address,
    rootFingerprint: material.rootFingerprint,
    rootPem: material.rootsPem.join(''),
    authority,
    tokens,
    hosts,
    setClockAhead: (ms) => {
      aheadMs = ms;
    },
    get server() {
      return server;
    },
    token: newToken,
    provider: ({ host = 'vm-1', token = () => undefined, addresses = [], log = silentLog(), ...more }) =>
      new TrysailCaProvider({
        hostName: host,
        trustDomain: TRUST_DOMAIN,
        addresses,
        readJoinToken: async () => token(),
        requestTimeoutMs: 60_000,
        log,
        ...more,
      }),
    stop: async () => server.close(0),
    restart: async (more = {}) => {
      server = serve(more);
      await server.listen(address);
    },
  };
}
