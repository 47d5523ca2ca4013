/** Keeps every workload of a host in certificates: from disk at once, from the provider when due, from memory whatever happens. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Backoff } from '../lib/backoff.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { Slots } from '../lib/slots.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { parseWorkloadSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import type { CertificateProvider, IssuedCertificate, ProviderStatus } from './certificate-provider.ts';
import { type Clock, LONGEST_WAIT_MS, SYSTEM_CLOCK } from './clock.ts';
import { type CertificateState, identityDiagnostics } from './identity-diagnostics.ts';
import { renewalTimeMs } from './renewal.ts';
import { readSealed, writeSealed } from './sealed-file.ts';
import { mergeRoots, type RootFacts, rootFacts } from './trust-bundle.ts';
import { acceptCertificate, type WorkloadCertificate } from './workload-certificate.ts';

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

interface Entry {
  readonly id: SpiffeId;
  readonly path: string;
  readonly backoff: Backoff;
  certificate: WorkloadCertificate | undefined;
  /** When to ask the provider next. */
  dueMs: number;
  lastError: TrysailError | Error | undefined;
  failures: number;
  /** What still has to reach the disk. */
  unsaved: IssuedCertificate | undefined;
  saveError: string | undefined;
  inFlight: Promise<void> | undefined;
}

const MAINTENANCE_MS = 3_600_000;
/** Hosts that start together after a power cut, with certificates due, come to the CA spread over this. */
const START_SPREAD_MS = 30_000;
/** Longest wait between attempts, while there is a valid certificate and while there is none. */
const RELAXED_RETRY_MS = 300_000;
const URGENT_RETRY_MS = 15_000;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #entries: readonly Entry[];
  readonly #slots: Slots;
  readonly #stop = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  #roots: readonly string[] = [];
  #emitting = false;
  #maintainedAtMs: number;
  #loops: readonly Promise<void>[] = [];

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#random = options.random ?? Math.random;
    this.#maintainedAtMs = this.#clock.now();
    this.#slots = new Slots(options.concurrency ?? 8);
    this.#entries = options.provider.issues ? [...new Set(options.identities)].map((id) => this.#entry(id)) : [];
  }

  /**
   * Loads what is on disk and still valid (`onChange` is called with it before this resolves), and begins to fetch the
   * rest. Never rejects, and never waits for the CA: see `whenReady`.
   */
  async start(): Promise<void> {
    const { provider, log } = this.#options;
    await Promise.all(
      this.#entries.map(async (entry) => {
        try {
          await this.#load(entry);
        } catch (error) {
          log.warn({ err: errorMessage(error) }, 'a saved certificate is not used');
        }
      }),
    );
    if (this.#entries.some((entry) => entry.certificate !== undefined)) this.#options.onChange(this.material());
    this.#checkReady();
    this.#loops = [...this.#entries.map(async (entry) => this.#keep(entry)), this.#maintain()];
    provider.watch(() => {
      for (const entry of this.#entries) void this.#renew(entry).catch(() => undefined);
    }, this.#stop.signal);
  }

  /** Whether every identity had a valid certificate within the time. */
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
    const entries = this.#entries.filter(({ id }) => spiffeId === undefined || id === spiffeId);
    if (spiffeId !== undefined && entries.length === 0) {
      throw new TrysailError('IDENTITY_UNKNOWN', `no workload of this host has the identity ${spiffeId}`, {
        remedy: 'See which it has with "trysail status".',
      });
    }
    const results = await Promise.allSettled(
      entries.map(async (entry) => {
        // One that was under way before the question does not answer it.
        await entry.inFlight?.catch(() => undefined);
        return this.#renew(entry);
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return entries.map(({ id, certificate }) => ({ spiffeId: id, serial: certificate?.serial ?? '' }));
  }

  /** What `onChange` last got, or would get. */
  material(): IdentityMaterial {
    return {
      certificates: this.#entries.flatMap(({ certificate }) => certificate ?? []),
      rootsPem: this.#roots.join(''),
    };
  }

  status(): IdentityStatus {
    const nowMs = this.#clock.now();
    const provider = this.#options.provider.status();
    const certificates = this.#entries.map((entry) => ({
      spiffeId: entry.id,
      serial: entry.certificate?.serial,
      notBeforeMs: entry.certificate?.notBeforeMs,
      notAfterMs: entry.certificate?.notAfterMs,
      renewAtMs: entry.dueMs === 0 ? undefined : entry.dueMs,
      failures: entry.failures,
      lastError: entry.lastError === undefined ? undefined : errorMessage(entry.lastError),
      remedy: entry.lastError instanceof TrysailError ? entry.lastError.remedy : undefined,
      saveError: entry.saveError,
    }));
    return {
      certificates,
      roots: this.#roots.map(rootFacts),
      provider,
      diagnostics: identityDiagnostics(certificates, nowMs),
    };
  }

  /** Ends all requests and waits; what `onChange` got stays good. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
    this.#options.provider.close();
  }

  #entry(id: SpiffeId): Entry {
    const { namespace = '', serviceAccount = '' } = parseWorkloadSpiffeId(id) ?? {};
    return {
      id,
      path: join(this.#options.stateDir, 'identity', 'workloads', namespace, `${serviceAccount}.json`),
      // Istio's first delay.
      backoff: new Backoff({ baseMs: 50, maxMs: RELAXED_RETRY_MS, random: this.#random }),
      certificate: undefined,
      dueMs: 0,
      lastError: undefined,
      failures: 0,
      unsaved: undefined,
      saveError: undefined,
      inFlight: undefined,
    };
  }

  async #load(entry: Entry): Promise<void> {
    if (!this.#options.provider.persistable) return;
    if (!this.#options.persist) {
      await rm(entry.path, { force: true });
      return;
    }
    const stored = await readSealed(entry.path);
    const nowMs = this.#clock.now();
    if (stored === undefined || stored.facts.spiffeId !== entry.id || stored.facts.notAfterMs <= nowMs) return;
    const { certificateChainPem, privateKey, facts } = stored;
    const { notBeforeMs, notAfterMs, serial } = facts;
    entry.certificate = { spiffeId: entry.id, certificateChainPem, privateKey, notBeforeMs, notAfterMs, serial };
    this.#roots = mergeRoots(this.#roots, stored.rootsPem, nowMs);
    const dueMs = renewalTimeMs(facts, this.#random, undefined);
    const spreadMs = Math.min(START_SPREAD_MS, (notAfterMs - nowMs) / 10) * this.#random();
    entry.dueMs = Math.max(dueMs, nowMs + spreadMs);
  }

  async #keep(entry: Entry): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const restMs = entry.dueMs - this.#clock.now();
      if (restMs > 0) {
        await this.#clock.sleep(Math.min(restMs, LONGEST_WAIT_MS), signal);
        if (entry.unsaved !== undefined) await this.#save(entry, entry.unsaved);
        continue;
      }
      await this.#renew(entry).catch(() => undefined);
    }
  }

  async #renew(entry: Entry): Promise<void> {
    entry.inFlight ??= this.#slots
      .run(async () => this.#fetch(entry))
      .finally(() => {
        entry.inFlight = undefined;
      });
    return entry.inFlight;
  }

  async #fetch(entry: Entry): Promise<void> {
    const { provider, log } = this.#options;
    try {
      const issued = await provider.issue(entry.id, this.#stop.signal);
      const certificate = acceptCertificate(entry.id, issued, this.#clock.now());
      const roots = this.#rootsWith(issued.rootsPem);
      const changed = certificate.serial !== entry.certificate?.serial || roots.join('') !== this.#roots.join('');
      entry.certificate = certificate;
      entry.dueMs = renewalTimeMs(certificate, this.#random, this.#clock.now());
      entry.failures = 0;
      entry.backoff.reset();
      entry.lastError = undefined;
      this.#roots = roots;
      if (!changed) return;
      const { serial, notAfterMs } = certificate;
      log.info({ id: entry.id, serial, notAfter: new Date(notAfterMs).toISOString() }, 'certificate renewed');
      this.#emit();
      this.#checkReady();
      if (this.#options.persist && provider.persistable) await this.#save(entry, issued);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#failed(entry, error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  #failed(entry: Entry, error: Error): void {
    const repeated = entry.lastError?.message === error.message;
    entry.lastError = error;
    entry.failures += 1;
    const nowMs = this.#clock.now();
    const urgent = (entry.certificate?.notAfterMs ?? 0) - nowMs < 2 * RELAXED_RETRY_MS;
    const longestMs = urgent ? URGENT_RETRY_MS * (0.5 + this.#random() / 2) : RELAXED_RETRY_MS;
    entry.dueMs = nowMs + Math.min(entry.backoff.nextMs(), longestMs);
    if (repeated && entry.failures % 10 !== 0) return;
    const remedy = error instanceof TrysailError ? error.remedy : undefined;
    const level = entry.certificate === undefined || urgent ? 'error' : 'warn';
    this.#options.log[level](
      { id: entry.id, err: error.message, remedy, failures: entry.failures },
      'no new certificate',
    );
  }

  #rootsWith(received: readonly string[]): readonly string[] {
    // Files hold the operator's complete word on the roots; a CA answers with those of now alone.
    return mergeRoots(this.#options.provider.persistable ? this.#roots : [], received, this.#clock.now());
  }

  async #save(entry: Entry, issued: IssuedCertificate): Promise<void> {
    try {
      await writeSealed(entry.path, { ...issued, rootsPem: this.#roots });
      if (entry.saveError !== undefined) this.#options.log.info({ id: entry.id }, 'the certificate is saved after all');
      entry.unsaved = undefined;
      entry.saveError = undefined;
    } catch (error) {
      const message = errorMessage(error);
      if (entry.saveError !== message) {
        this.#options.log.error({ id: entry.id, err: message }, 'the certificate is kept in memory alone');
      }
      entry.unsaved = issued;
      entry.saveError = message;
    }
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
    if (this.#entries.every(({ certificate }) => certificate !== undefined)) this.#ready.resolve();
  }

  async #maintain(): Promise<void> {
    const { signal } = this.#stop;
    while (await this.#clock.sleep(LONGEST_WAIT_MS, signal)) {
      if (this.#clock.now() - this.#maintainedAtMs < MAINTENANCE_MS) continue;
      this.#maintainedAtMs = this.#clock.now();
      await this.#options.provider.maintain(signal);
    }
  }
}
