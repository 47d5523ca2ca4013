/** Istio's certificate API over gRPC and TLS; the server's own certificate is issued by the CA and renewed in-process. */
import { isIP } from 'node:net';
import { create } from '@bufbuild/protobuf';
import {
  experimental,
  status as grpcStatus,
  logVerbosity,
  Server,
  type ServerUnaryCall,
  type sendUnaryData,
  setLogVerbosity,
} from '@grpc/grpc-js';
import {
  type IstioCertificateRequest,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
} from '../gen/istio/v1/ca_pb.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { CREATE_CERTIFICATE } from './ca-method.ts';
import { type Caller, CaService, Refusal } from './ca-service.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { type Clock, SYSTEM_CLOCK, sleepUntil } from './clock.ts';
import type { HostRecords } from './host-records.ts';
import type { JoinTokens } from './join-tokens.ts';
import { generatePrivateKey } from './private-key.ts';
import { RateLimit } from './rate-limit.ts';

export interface CaServerOptions {
  readonly authority: CertificateAuthority;
  readonly tokens: JoinTokens;
  readonly hosts: HostRecords;
  /** DNS names and IP addresses under which clients reach the server. */
  readonly names: readonly string[];
  readonly log: Log;
  /** Default 24 h; also the cap of what a caller may wish for. */
  readonly workloadLifetimeMs?: number | undefined;
  /** Default 30 days. */
  readonly hostLifetimeMs?: number | undefined;
  /** Of the server's own certificate; default 24 h. */
  readonly serverLifetimeMs?: number | undefined;
  /** Requests a second from one address; default 100, with bursts of 1000. */
  readonly rateLimit?: { readonly perSecond: number; readonly burst: number } | undefined;
  readonly clock?: Clock;
}

export interface CaServerStatus {
  readonly address: string | undefined;
  readonly trustDomain: string;
  readonly rootFingerprint: string;
  readonly caNotAfterMs: number;
  readonly serverCertificateNotAfterMs: number | undefined;
  readonly issued: number;
  readonly refused: number;
}

const DAY_MS = 86_400_000;
/** A request is one CSR of at most 16 KiB. */
const MAX_MESSAGE_BYTES = 65_536;
const RENEWAL_RETRY_MS = 60_000;

interface ServerCertificate {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
}

/** The part of grpc-js's certificate provider that a server's own certificate needs; it pushes at each renewal. */
class CertificateSource {
  readonly #listeners = new Set<(update: ServerCertificate | null) => void>();
  #latest: ServerCertificate | null = null;
  readonly #roots: Buffer;

  constructor(rootsPem: string) {
    this.#roots = Buffer.from(rootsPem);
  }

  set(latest: ServerCertificate): void {
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

  addIdentityCertificateListener(listener: (update: ServerCertificate | null) => void): void {
    this.#listeners.add(listener);
    queueMicrotask(() => listener(this.#latest));
  }

  removeIdentityCertificateListener(listener: (update: ServerCertificate | null) => void): void {
    this.#listeners.delete(listener);
  }
}

export class CaServer {
  readonly #options: CaServerOptions;
  readonly #clock: Clock;
  readonly #service: CaService;
  readonly #source: CertificateSource;
  readonly #limit: RateLimit;
  readonly #stop = new AbortController();
  readonly #server: Server;
  #address: string | undefined;
  #serverNotAfterMs: number | undefined;
  #renewal: Promise<void> = Promise.resolve();

  constructor(options: CaServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const now = (): number => this.#clock.now();
    this.#service = new CaService({
      authority: options.authority,
      tokens: options.tokens,
      hosts: options.hosts,
      audit: options.log.child({ audit: true }),
      workloadLifetimeMs: options.workloadLifetimeMs ?? DAY_MS,
      hostLifetimeMs: options.hostLifetimeMs ?? 30 * DAY_MS,
      now,
    });
    this.#source = new CertificateSource(options.authority.material.rootsPem.join(''));
    this.#limit = new RateLimit({ ...(options.rateLimit ?? { perSecond: 100, burst: 1000 }), now });
    // What it would print comes as errors too, and then in our own log.
    setLogVerbosity(logVerbosity.NONE);
    this.#server = new Server({
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      'grpc.max_metadata_size': 16_384,
      'grpc.max_concurrent_streams': 100,
      // Hosts ask a few times a day: connections that nobody uses are not kept.
      'grpc.max_connection_idle_ms': 60_000,
      'grpc.keepalive_time_ms': 30_000,
    });
    this.#server.addService(
      { createCertificate: CREATE_CERTIFICATE },
      {
        createCertificate: (
          call: ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>,
          callback: sendUnaryData<IstioCertificateResponse>,
        ): void => {
          void this.#answer(call, callback);
        },
      },
    );
  }

  /**
   * Starts serving. Port 0 takes a free one.
   * @returns the address with its real port
   * @throws TrysailError CA_LISTEN_FAILED
   */
  async listen(address: string): Promise<string> {
    await this.#renewServerCertificate();
    const credentials = experimental.createCertificateProviderServerCredentials(this.#source, this.#source, false);
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else {
          reject(
            new TrysailError('CA_LISTEN_FAILED', `the CA cannot listen on ${address}: ${errorMessage(error)}`, {
              cause: error,
              remedy: 'Stop what holds the port, or set another one in ca.listen.',
            }),
          );
        }
      });
    });
    this.#address = address.replace(/:\d+$/, `:${port}`);
    this.#renewal = this.#keepServerCertificate();
    return this.#address;
  }

  status(): CaServerStatus {
    const { trustDomain, rootFingerprint, notAfterMs } = this.#options.authority.material;
    return {
      address: this.#address,
      trustDomain,
      rootFingerprint,
      caNotAfterMs: notAfterMs,
      serverCertificateNotAfterMs: this.#serverNotAfterMs,
      ...this.#service.counts,
    };
  }

  /** Lets requests in flight end, at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#stop.abort();
    await this.#renewal;
    await new Promise<void>((resolve) => {
      const force = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
  }

  async #answer(
    call: ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>,
    callback: sendUnaryData<IstioCertificateResponse>,
  ): Promise<void> {
    const peer = call.getPeer();
    if (!this.#limit.take(peer.replace(/:\d+$/, ''))) {
      callback({ code: grpcStatus.RESOURCE_EXHAUSTED, details: 'too many requests from this address: wait and retry' });
      return;
    }
    try {
      const { csr, validityDuration, metadata } = call.request;
      const certChain = await this.#service.createCertificate(
        {
          csrPem: csr,
          lifetimeMs: Math.max(0, Number(validityDuration) * 1000),
          identity: textField(metadata?.['ImpersonatedIdentity']),
          host: textField(metadata?.['Host']),
        },
        callerOf(call, peer),
      );
      callback(null, create(IstioCertificateResponseSchema, { certChain }));
    } catch (error) {
      if (error instanceof Refusal) callback({ code: grpcStatus[error.status], details: error.message });
      else {
        this.#options.log.error({ err: error }, 'the CA cannot decide a request');
        callback({ code: grpcStatus.INTERNAL, details: 'the CA cannot read or write its state: see its log' });
      }
    }
  }

  async #renewServerCertificate(): Promise<void> {
    const { authority, names, serverLifetimeMs = DAY_MS } = this.#options;
    const key = await generatePrivateKey();
    const sans = names.map((name) =>
      isIP(name) === 0 ? ({ type: 'dns', value: name } as const) : ({ type: 'ip', value: name } as const),
    );
    const issued = await authority.signServer(key.publicKeyDer(), sans, serverLifetimeMs);
    // With the root, so that a host that joins finds in the handshake what its token's fingerprint is of.
    this.#source.set({
      certificate: Buffer.from(authority.chainOf(issued).join('')),
      privateKey: Buffer.from(key.reveal()),
    });
    this.#serverNotAfterMs = issued.notAfterMs;
  }

  async #keepServerCertificate(): Promise<void> {
    const { log } = this.#options;
    let dueMs = this.#clock.now() + ((this.#serverNotAfterMs ?? 0) - this.#clock.now()) / 2;
    while (await sleepUntil(this.#clock, dueMs, this.#stop.signal)) {
      try {
        await this.#renewServerCertificate();
        const now = this.#clock.now();
        dueMs = Math.max(now + ((this.#serverNotAfterMs ?? 0) - now) / 2, now + 1000);
      } catch (error) {
        log.error({ err: error }, "the CA's own server certificate cannot be renewed");
        dueMs = this.#clock.now() + RENEWAL_RETRY_MS;
      }
    }
  }
}

function textField(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function callerOf(call: ServerUnaryCall<IstioCertificateRequest, IstioCertificateResponse>, peer: string): Caller {
  const [authorization] = call.metadata.get('authorization');
  const bearer = typeof authorization === 'string' ? /^Bearer\s+(\S+)\s*$/i.exec(authorization)?.[1] : undefined;
  // grpc-js gives a certificate only if TLS has verified it.
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  return { peer, token: bearer, certificate };
}
