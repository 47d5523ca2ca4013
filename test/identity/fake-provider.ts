/** A provider that signs with a CA of its own in memory, and fails when told to. */
import { CertificateAuthority } from '../../src/identity/certificate-authority.ts';
import type { CertificateProvider, IssuedCertificate } from '../../src/identity/certificate-provider.ts';
import { noCertificates } from '../../src/identity/certificate-provider.ts';
import type { Clock } from '../../src/identity/clock.ts';
import { generatePrivateKey } from '../../src/identity/private-key.ts';
import type { SpiffeId } from '../../src/model/spiffe-id.ts';

export interface FakeProvider extends CertificateProvider {
  /** Who asked for what, in order. */
  readonly asked: SpiffeId[];
  /** Most requests in flight at any time. */
  peak: number;
  failWith: Error | undefined;
  authority: CertificateAuthority;
  /** What the clock of the CA is ahead of the host's. */
  aheadMs: number;
  /** Answers with the certificate of somebody else. */
  mixUp: SpiffeId | undefined;
  /** Requests wait for it. */
  gate: Promise<void>;
}

const HOST = { host: 'vm-1', keySha256: '0'.repeat(64) };

export async function fakeProvider(
  makeAuthority: (now: () => number) => Promise<CertificateAuthority>,
  clock: Clock,
  lifetimeMs = 86_400_000,
): Promise<FakeProvider> {
  let inFlight = 0;
  const provider: FakeProvider = {
    ...noCertificates(),
    issues: true,
    persistable: true,
    asked: [],
    peak: 0,
    failWith: undefined,
    aheadMs: 0,
    mixUp: undefined,
    gate: Promise.resolve(),
    authority: await makeAuthority(() => clock.now() + provider.aheadMs),
    issue: async (identity: SpiffeId): Promise<IssuedCertificate> => {
      provider.asked.push(identity);
      inFlight += 1;
      provider.peak = Math.max(provider.peak, inFlight);
      try {
        await provider.gate;
        if (provider.failWith !== undefined) throw provider.failWith;
        const privateKey = await generatePrivateKey();
        const id = provider.mixUp ?? identity;
        const issued = await provider.authority.signWorkload(privateKey.publicKeyDer(), id, HOST, lifetimeMs);
        return {
          certificateChainPem: issued.certificatePem,
          privateKey,
          rootsPem: provider.authority.material.rootsPem,
        };
      } finally {
        inFlight -= 1;
      }
    },
  };
  return provider;
}
