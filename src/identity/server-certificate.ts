/** The certificate that the CA's server shows: issued by itself, renewed at half of its life without a restart. */
import { isIP } from 'node:net';
import type { Log } from '../lib/log.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { type Clock, LONGEST_WAIT_MS } from './clock.ts';
import { generatePrivateKey } from './private-key.ts';
import { RenewalSchedule } from './renewal-schedule.ts';

interface KeyPair {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
}

type Listener = (update: KeyPair | null) => void;

/** The two halves of grpc-js's certificate provider: the server's own certificate, and the roots of its clients. */
class CertificateSource {
  readonly #listeners = new Set<Listener>();
  readonly #roots: Buffer;
  #latest: KeyPair | null = null;

  constructor(rootsPem: string) {
    this.#roots = Buffer.from(rootsPem);
  }

  set(latest: KeyPair): void {
    this.#latest = latest;
    for (const listener of this.#listeners) listener(latest);
  }

  addCaCertificateListener(listener: (update: { caCertificate: Buffer } | null) => void): void {
    // grpc-js subscribes before it watches, and would miss an answer given at once.
    queueMicrotask(() => listener({ caCertificate: this.#roots }));
  }

  removeCaCertificateListener(): void {
    // The roots never change while the process lives, so that there is nothing to unsubscribe from.
  }

  addIdentityCertificateListener(listener: Listener): void {
    this.#listeners.add(listener);
    queueMicrotask(() => listener(this.#latest));
  }

  removeIdentityCertificateListener(listener: Listener): void {
    this.#listeners.delete(listener);
  }
}

export interface ServerCertificateOptions {
  readonly authority: CertificateAuthority;
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly lifetimeMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

const RETRY_MS = 60_000;
/** However short the life: not in a busy loop. */
const SHORTEST_MS = 1000;

export class ServerCertificate {
  /** For grpc-js. */
  readonly source: CertificateSource;
  readonly #options: ServerCertificateOptions;
  readonly #stop = new AbortController();
  #notAfterMs: number | undefined;
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: ServerCertificateOptions) {
    this.#options = options;
    this.source = new CertificateSource(options.authority.material.rootsPem.join(''));
  }

  /** Milliseconds since 1970; undefined before `start`. */
  get notAfterMs(): number | undefined {
    return this.#notAfterMs;
  }

  /** Issues the first one and keeps it renewed from then on. */
  async start(): Promise<void> {
    const dueMs = await this.#renew();
    this.#keeping = this.#keep(dueMs);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#keeping;
  }

  /** Returns when the next renewal is due. */
  async #renew(): Promise<number> {
    const { authority, names, lifetimeMs, clock } = this.#options;
    const key = await generatePrivateKey();
    const sans = names.map((name) =>
      isIP(name) === 0 ? ({ type: 'dns', value: name } as const) : ({ type: 'ip', value: name } as const),
    );
    const issued = await authority.signServer(key.publicKeyDer(), sans, lifetimeMs);
    // With the root, so that a host that joins finds in the handshake what its token's fingerprint is of.
    const chain = authority.chainOf(issued).join('');
    this.source.set({ certificate: Buffer.from(chain), privateKey: Buffer.from(key.reveal()) });
    this.#notAfterMs = issued.notAfterMs;
    const nowMs = clock.now();
    return Math.max(nowMs + (issued.notAfterMs - nowMs) / 2, nowMs + SHORTEST_MS);
  }

  async #keep(firstDueMs: number): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stop;
    // A certificate that was made while the clock was ahead would be refused until it begins.
    const schedule = new RenewalSchedule(clock, () => 0);
    schedule.set(firstDueMs);
    while (!signal.aborted) {
      const restMs = schedule.restMs();
      if (restMs > 0) {
        await clock.sleep(Math.min(restMs, LONGEST_WAIT_MS), signal);
        continue;
      }
      try {
        schedule.set(await this.#renew());
      } catch (error) {
        log.error({ err: error }, "the CA's own server certificate cannot be renewed");
        schedule.set(clock.now() + RETRY_MS);
      }
    }
  }
}
