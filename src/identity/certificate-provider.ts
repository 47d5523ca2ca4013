/** The small interface behind which certificates come from: our CA, files, or nowhere. */
import type { SpiffeId } from '../model/spiffe-id.ts';
import type { PrivateKey } from './private-key.ts';

/** A certificate that a provider has just got, with its key and the roots that came with it. */
export interface IssuedCertificate {
  /** PEM, leaf first, without the root. */
  readonly certificateChainPem: string;
  readonly privateKey: PrivateKey;
  /** PEM of each root; at least one. */
  readonly rootsPem: readonly string[];
}

export interface ProviderStatus {
  readonly provider: 'trysail-ca' | 'files' | 'none';
  /** Of the CA, `host:port`; empty where there is none or it is not known yet. */
  readonly addresses: readonly string[];
  /** Whether the last request reached it; undefined before the first. */
  readonly reachable: boolean | undefined;
  readonly lastContactAtMs: number | undefined;
  readonly lastError: string | undefined;
  readonly hostCredential:
    | { readonly spiffeId: SpiffeId; readonly serial: string; readonly notAfterMs: number; readonly renewAtMs: number }
    | undefined;
}

export interface CertificateProvider {
  /** False for the provider `none`: its hosts speak plain text. */
  readonly issues: boolean;
  /** Whether what it issues may be written to the state folder; false where it lies in files already. */
  readonly persistable: boolean;
  /**
   * A certificate for one identity, with a key of its own. Bounded in time.
   * @throws TrysailError whose message and remedy are for the host's operator
   */
  issue(identity: SpiffeId, signal: AbortSignal): Promise<IssuedCertificate>;
  /** Called about once an hour, for what the provider itself has to renew. Does not reject. */
  maintain(signal: AbortSignal): Promise<void>;
  /** Calls back when the provider has newer certificates than it has issued, until the signal aborts. */
  watch(changed: () => void, signal: AbortSignal): void;
  status(): ProviderStatus;
  close(): void;
}

/** The provider of a host without certificates. */
export function noCertificates(): CertificateProvider {
  return {
    issues: false,
    persistable: false,
    issue: async (identity) => {
      throw new Error(`no provider issues certificates, asked for ${identity}`);
    },
    maintain: async () => undefined,
    watch: () => undefined,
    status: () => ({
      provider: 'none',
      addresses: [],
      reachable: undefined,
      lastContactAtMs: undefined,
      lastError: undefined,
      hostCredential: undefined,
    }),
    close: () => undefined,
  };
}
