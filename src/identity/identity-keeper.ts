/** Keeps every workload of a host in certificates, and hands all of them over at each change. */
import { TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import type { SpiffeId } from '../model/spiffe-id.ts';
import type { CertificateProvider, ProviderStatus } from './certificate-provider.ts';
import { type Clock, LONGEST_WAIT_MS, SYSTEM_CLOCK } from './clock.ts';
import { type CertificateState, identityDiagnostics } from './identity-diagnostics.ts';
import { type IdentitySurroundings, KeptIdentity } from './kept-identity.ts';
import { type RootFacts, rootFacts } from './trust-bundle.ts';
import { TrustedRoots } from './trusted-roots.ts';
import type { WorkloadCertificate } from './workload-certificate.ts';

/** All that a host has; a new object at each change, sharing the certificates that did not change. */
export interface IdentityMaterial {
  /** In the order in which the identities were given; those that have no certificate yet are missing. */
  readonly certificates: readonly WorkloadCertificate[];
  /** PEM of all trusted roots; empty before the first certificate. */
  readonly rootsPem: string;
}

export interface IdentityKeeperOptions {
  readonly provider: CertificateProvider;
  readonly identities: readonly SpiffeId[];
  /** The agent's state folder; the files are in `identity/` below it. */
  readonly stateDir: string;
  /** Whether workload keys may be written to disk. False also removes those of earlier. */
  readonly persist: boolean;
  readonly log: Log;
  readonly onChange: (material: IdentityMaterial) => void;
  /** How many certificates are asked for at once; default 8. */
  readonly concurrency?: number;
  readonly clock?: Clock;
  readonly random?: () => number;
}

export interface IdentityStatus {
  readonly certificates: readonly (CertificateState & { readonly renewAtMs: number | undefined })[];
  readonly roots: readonly RootFacts[];
  readonly provider: ProviderStatus;
  readonly diagnostics: readonly Diagnostic[];
}

const MAINTENANCE_MS = 3_600_000;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #clock: Clock;
  readonly #around: IdentitySurroundings;
  readonly #roots: TrustedRoots;
  readonly #stop = new AbortController();
  #identities: readonly KeptIdentity[];
  #ready = Promise.withResolvers<void>();
  #emitting = false;
  #maintainedAtMs: number;
  #maintaining: Promise<void> = Promise.resolve();
  /** Changes of the identities, one after the other. */
  #changing: Promise<void> = Promise.resolve();

  constructor(options: IdentityKeeperOptions) {
    const { provider, stateDir, persist, log } = options;
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#maintainedAtMs = this.#clock.now();
    this.#roots = new TrustedRoots(provider.persistable, () => this.#clock.now());
    this.#around = {
      provider,
      stateDir,
      persist,
      log,
      clock: this.#clock,
      random: options.random ?? Math.random,
      slots: new Slots(options.concurrency ?? 8),
      roots: this.#roots,
      changed: () => {
        this.#emit();
        this.#checkReady();
      },
    };
    this.#identities = this.#wanted(options.identities).map((id) => new KeptIdentity(id, this.#around));
  }

  /**
   * Loads what is on disk and still valid (`onChange` is called with it before this resolves), and begins to fetch the
   * rest. Never rejects, and never waits for the CA: see `whenReady`.
   */
  async start(): Promise<void> {
    await Promise.all(this.#identities.map(async (identity) => identity.load()));
    if (this.#identities.some(({ certificate }) => certificate !== undefined)) this.#options.onChange(this.material());
    this.#checkReady();
    for (const identity of this.#identities) identity.start();
    this.#maintaining = this.#maintain();
    this.#options.provider.watch(() => {
      for (const identity of this.#identities) void identity.renew().catch(() => undefined);
    }, this.#stop.signal);
  }

  /**
   * Has the host keep these identities from now on, after `start`: new ones come from disk or are fetched, the keys of
   * those that are no longer named are dropped, the others are not touched. `onChange` tells of it. Never rejects, never
   * waits for the CA.
   */
  async setIdentities(identities: readonly SpiffeId[]): Promise<void> {
    const change = this.#changing.then(async () => this.#replace(this.#wanted(identities)));
    this.#changing = change;
    return change;
  }

  /** Whether every identity of now has a valid certificate within the time. */
  async whenReady(timeoutMs: number): Promise<boolean> {
    const timeout = new AbortController();
    const waited = this.#clock.sleep(timeoutMs, timeout.signal).then(() => false);
    const ready = await Promise.race([this.#ready.promise.then(() => true), waited]);
    timeout.abort();
    return ready;
  }

  /**
   * Fetches new certificates at once, due or not, for one identity or all. Rejects with the first failure, after all
   * have ended, or with IDENTITY_UNKNOWN.
   */
  async rotateNow(spiffeId?: string): Promise<readonly { readonly spiffeId: SpiffeId; readonly serial: string }[]> {
    const chosen = this.#identities.filter(({ id }) => spiffeId === undefined || id === spiffeId);
    if (spiffeId !== undefined && chosen.length === 0) {
      throw new TrysailError('IDENTITY_UNKNOWN', `no workload of this host has the identity ${spiffeId}`, {
        remedy: 'See which it has with "trysail status".',
      });
    }
    // One that was under way before the question does not answer it.
    const results = await Promise.allSettled(chosen.map(async (identity) => identity.renew(true)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return chosen.map(({ id, certificate }) => ({ spiffeId: id, serial: certificate?.serial ?? '' }));
  }

  /** What `onChange` last got, or would get. */
  material(): IdentityMaterial {
    return {
      certificates: this.#identities.flatMap(({ certificate }) => certificate ?? []),
      rootsPem: this.#roots.pem.join(''),
    };
  }

  status(): IdentityStatus {
    const certificates = this.#identities.map((identity) => identity.state());
    return {
      certificates,
      roots: this.#roots.pem.map(rootFacts),
      provider: this.#options.provider.status(),
      diagnostics: identityDiagnostics(certificates, this.#clock.now()),
    };
  }

  /** Ends all requests and waits; what `onChange` got stays good. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#changing;
    await Promise.all([...this.#identities.map(async (identity) => identity.stop()), this.#maintaining]);
    this.#options.provider.close();
  }

  #wanted(identities: readonly SpiffeId[]): readonly SpiffeId[] {
    return this.#options.provider.issues ? [...new Set(identities)] : [];
  }

  async #replace(wanted: readonly SpiffeId[]): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const before = new Map(this.#identities.map((identity) => [identity.id, identity]));
    const kept = wanted.map((id) => before.get(id) ?? new KeptIdentity(id, this.#around));
    const added = kept.filter(({ id }) => !before.has(id));
    const dropped = this.#identities.filter(({ id }) => !wanted.includes(id));
    await Promise.all(added.map(async (identity) => identity.load()));
    this.#identities = kept;
    if (kept.some(({ certificate }) => certificate === undefined)) this.#ready = Promise.withResolvers<void>();
    this.#checkReady();
    for (const identity of added) identity.start();
    if ([...added, ...dropped].some(({ certificate }) => certificate !== undefined)) this.#emit();
    await Promise.all(dropped.map(async (identity) => identity.drop()));
  }

  #emit(): void {
    if (this.#emitting) return;
    this.#emitting = true;
    // Many workloads get their first certificates in the same moment: one change then, not one each.
    setImmediate(() => {
      this.#emitting = false;
      if (!this.#stop.signal.aborted) this.#options.onChange(this.material());
    });
  }

  #checkReady(): void {
    if (this.#identities.every(({ certificate }) => certificate !== undefined)) this.#ready.resolve();
  }

  async #maintain(): Promise<void> {
    const { signal } = this.#stop;
    const { provider } = this.#options;
    // At once: a host without services has nobody else to join for it.
    await provider.maintain(signal);
    while (await this.#clock.sleep(LONGEST_WAIT_MS, signal)) {
      // A clock that was set back must not put it off either.
      const isRecent = Math.abs(this.#clock.now() - this.#maintainedAtMs) < MAINTENANCE_MS;
      if (isRecent && provider.status().hostCredential !== undefined) continue;
      this.#maintainedAtMs = this.#clock.now();
      await provider.maintain(signal);
    }
  }
}
