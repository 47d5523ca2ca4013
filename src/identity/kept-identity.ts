/** One identity of a host, kept in certificates: from disk at once, from the provider when due, from memory whatever happens. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Backoff } from '../lib/backoff.ts';
import { formatDuration } from '../lib/duration.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Slots } from '../lib/slots.ts';
import { parseWorkloadSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import type { CertificateProvider, IssuedCertificate } from './certificate-provider.ts';
import { type Clock, LONGEST_WAIT_MS } from './clock.ts';
import type { CertificateState } from './identity-diagnostics.ts';
import { renewalTimeMs } from './renewal.ts';
import { RenewalSchedule, SPREAD_MS } from './renewal-schedule.ts';
import { readSealed, writeSealed } from './sealed-file.ts';
import type { TrustedRoots } from './trusted-roots.ts';
import { acceptCertificate, type WorkloadCertificate } from './workload-certificate.ts';

/** What all identities of a host have in common. */
export interface IdentitySurroundings {
  readonly provider: CertificateProvider;
  readonly stateDir: string;
  readonly persist: boolean;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  readonly slots: Slots;
  readonly roots: TrustedRoots;
  /** Called when this identity's certificate, or a root, is another than before. */
  readonly changed: () => void;
}

/** Longest wait between attempts, while there is a valid certificate and while there is none. */
const RELAXED_RETRY_MS = 300_000;
const URGENT_RETRY_MS = 15_000;
/** A certificate that begins later than this from now was reckoned with a wrong clock, this host's or the CA's. */
const FAR_MS = 600_000;

export class KeptIdentity {
  readonly id: SpiffeId;
  readonly #around: IdentitySurroundings;
  readonly #path: string;
  readonly #backoff: Backoff;
  readonly #schedule: RenewalSchedule;
  readonly #stop = new AbortController();
  #certificate: WorkloadCertificate | undefined;
  #lastError: TrysailError | Error | undefined;
  #failures = 0;
  /** What still has to reach the disk. */
  #unsaved: IssuedCertificate | undefined;
  #saveError: string | undefined;
  #inFlight: Promise<void> | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(id: SpiffeId, around: IdentitySurroundings) {
    const { namespace = '', serviceAccount = '' } = parseWorkloadSpiffeId(id) ?? {};
    this.id = id;
    this.#around = around;
    this.#path = join(around.stateDir, 'identity', 'workloads', namespace, `${serviceAccount}.json`);
    // Istio's first delay.
    this.#backoff = new Backoff({ baseMs: 50, maxMs: RELAXED_RETRY_MS, random: around.random });
    this.#schedule = new RenewalSchedule(around.clock, around.random);
  }

  get certificate(): WorkloadCertificate | undefined {
    return this.#certificate;
  }

  /** Takes what is on disk and still valid. Never rejects. */
  async load(): Promise<void> {
    const { provider, persist, roots, clock, random, log } = this.#around;
    if (!provider.persistable) return;
    try {
      if (!persist) {
        await rm(this.#path, { force: true });
        return;
      }
      const stored = await readSealed(this.#path);
      const nowMs = clock.now();
      if (stored === undefined || stored.facts.spiffeId !== this.id || stored.facts.notAfterMs <= nowMs) return;
      const { certificateChainPem, privateKey, facts } = stored;
      const { notBeforeMs, notAfterMs, serial } = facts;
      this.#certificate = { spiffeId: this.id, certificateChainPem, privateKey, notBeforeMs, notAfterMs, serial };
      roots.learn(stored.rootsPem);
      const spreadMs = Math.min(SPREAD_MS, (notAfterMs - nowMs) / 10) * random();
      this.#schedule.set(Math.max(renewalTimeMs(facts, random, undefined), nowMs + spreadMs));
    } catch (error) {
      log.warn({ err: errorMessage(error) }, 'a saved certificate is not used');
    }
  }

  /** Begins to fetch and renew. */
  start(): void {
    this.#loop = this.#keep();
  }

  /** Fetches a new certificate at once, due or not. One that is under way already answers too, unless `afresh`. */
  async renew(afresh = false): Promise<void> {
    if (afresh) await this.#inFlight?.catch(() => undefined);
    this.#inFlight ??= this.#around.slots
      .run(async () => this.#fetch())
      .finally(() => {
        this.#inFlight = undefined;
      });
    return this.#inFlight;
  }

  /** Ends what is under way and waits. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  /** As `stop`, and removes the key from the disk: this host is no longer to have the identity. */
  async drop(): Promise<void> {
    await this.stop();
    await this.#inFlight?.catch(() => undefined);
    if (this.#around.provider.persistable) await rm(this.#path, { force: true }).catch(() => undefined);
  }

  state(): CertificateState & { readonly renewAtMs: number | undefined } {
    const error = this.#lastError;
    return {
      spiffeId: this.id,
      serial: this.#certificate?.serial,
      notBeforeMs: this.#certificate?.notBeforeMs,
      notAfterMs: this.#certificate?.notAfterMs,
      renewAtMs: this.#schedule.dueMs,
      failures: this.#failures,
      lastError: error === undefined ? undefined : errorMessage(error),
      lastErrorCode: error instanceof TrysailError ? error.code : undefined,
      remedy: error instanceof TrysailError ? error.remedy : undefined,
      saveError: this.#saveError,
    };
  }

  async #keep(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const restMs = this.#schedule.restMs();
      if (restMs > 0) {
        await this.#around.clock.sleep(Math.min(restMs, LONGEST_WAIT_MS), signal);
        if (this.#unsaved !== undefined && !signal.aborted) await this.#save(this.#unsaved);
        continue;
      }
      await this.renew().catch(() => undefined);
    }
  }

  async #fetch(): Promise<void> {
    const { provider, roots, persist, log, clock, changed } = this.#around;
    const { signal } = this.#stop;
    try {
      const issued = await provider.issue(this.id, signal);
      if (signal.aborted) return;
      const nowMs = clock.now();
      const certificate = acceptCertificate(this.id, issued, nowMs);
      this.#refuseToWorsen(certificate, nowMs);
      const isOther = certificate.serial !== this.#certificate?.serial;
      const isAnotherRoot = roots.learn(issued.rootsPem);
      this.#certificate = certificate;
      this.#schedule.set(this.#nextMs(certificate, nowMs));
      this.#failures = 0;
      this.#backoff.reset();
      this.#lastError = undefined;
      if (!isOther && !isAnotherRoot) return;
      const { serial, notAfterMs } = certificate;
      log.info({ id: this.id, serial, notAfter: new Date(notAfterMs).toISOString() }, 'certificate renewed');
      changed();
      if (persist && provider.persistable) await this.#save(issued);
    } catch (error) {
      if (signal.aborted) return;
      this.#failed(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  #nextMs(certificate: WorkloadCertificate, nowMs: number): number {
    const { random } = this.#around;
    // One of the clocks is wrong; when that is mended, the next certificate is better.
    if (certificate.notBeforeMs > nowMs + FAR_MS) return nowMs + RELAXED_RETRY_MS * (0.5 + random() / 2);
    return renewalTimeMs(certificate, random, nowMs);
  }

  /** A certificate that begins later is no good in place of one that holds now. */
  #refuseToWorsen({ notBeforeMs }: WorkloadCertificate, nowMs: number): void {
    const current = this.#certificate;
    if (notBeforeMs <= nowMs + FAR_MS || current === undefined) return;
    if (current.notBeforeMs > nowMs || current.notAfterMs <= nowMs) return;
    const [begins, now] = [new Date(notBeforeMs).toISOString(), new Date(nowMs).toISOString()];
    throw new TrysailError(
      'CLOCK_BEHIND',
      `the CA's new certificate begins at ${begins}, ${formatDuration(notBeforeMs - nowMs)} from now (${now}) by this ` +
        "host's clock; the one in use stays",
      { remedy: "Set the clock that is wrong, this host's or the CA's (NTP); the host renews by itself then." },
    );
  }

  #failed(error: Error): void {
    const { clock, random, log } = this.#around;
    const repeated = this.#lastError?.message === error.message;
    this.#lastError = error;
    this.#failures += 1;
    const nowMs = clock.now();
    const urgent = (this.#certificate?.notAfterMs ?? 0) - nowMs < 2 * RELAXED_RETRY_MS;
    const longestMs = urgent ? URGENT_RETRY_MS * (0.5 + random() / 2) : RELAXED_RETRY_MS;
    this.#schedule.set(nowMs + Math.min(this.#backoff.nextMs(), longestMs));
    if (repeated && this.#failures % 10 !== 0) return;
    const remedy = error instanceof TrysailError ? error.remedy : undefined;
    const level = this.#certificate === undefined || urgent ? 'error' : 'warn';
    log[level]({ id: this.id, err: error.message, remedy, failures: this.#failures }, 'no new certificate');
  }

  async #save(issued: IssuedCertificate): Promise<void> {
    const { log, roots } = this.#around;
    try {
      await writeSealed(this.#path, { ...issued, rootsPem: roots.pem });
      if (this.#saveError !== undefined) log.info({ id: this.id }, 'the certificate is saved after all');
      this.#unsaved = undefined;
      this.#saveError = undefined;
    } catch (error) {
      const message = errorMessage(error);
      if (this.#saveError !== message)
        log.error({ id: this.id, err: message }, 'the certificate is kept in memory alone');
      this.#unsaved = issued;
      this.#saveError = message;
    }
  }
}
