/** Istio's certificate API and our own calls over gRPC and TLS; the server's own certificate is issued by the CA itself. */
import { create } from '@bufbuild/protobuf';
import {
  experimental,
  status as grpcStatus,
  logVerbosity,
  type MethodDefinition,
  Server,
  type ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { type IstioCertificateRequest, IstioCertificateResponseSchema } from '../gen/istio/v1/ca_pb.ts';
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { CREATE_CERTIFICATE } from './ca-method.ts';
import { type Caller, CaService } from './ca-service.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { CHALLENGE, DESCRIBE, LEAVE, RE_ENROL } from './host-method.ts';
import type { HostRecords } from './host-records.ts';
import { HostService } from './host-service.ts';
import { HostTurns } from './host-turns.ts';
import type { JoinTokens } from './join-tokens.ts';
import { RateLimit } from './rate-limit.ts';
import { Refusal, type RefusalStatus } from './refusal.ts';
import { ServerCertificate } from './server-certificate.ts';

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
  /** For how long after its end a host gets its credential anew with its own key; default 30 days, 0: not at all. */
  readonly reEnrolGraceMs?: number | undefined;
  /** Text of the mesh configuration that hosts get when they join; default: none. */
  readonly readMeshConfig?: (() => Promise<string | undefined>) | undefined;
  /** Public key of the fleet's root that hosts get when they join, PEM; default: none. */
  readonly readFleetRoot?: (() => Promise<string | undefined>) | undefined;
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

export class CaServer {
  readonly #options: CaServerOptions;
  readonly #clock: Clock;
  readonly #service: CaService;
  readonly #hosts: HostService;
  readonly #certificate: ServerCertificate;
  readonly #limit: RateLimit;
  readonly #server: Server;
  #address: string | undefined;

  constructor(options: CaServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const now = (): number => this.#clock.now();
    const turns = new HostTurns();
    const common = {
      authority: options.authority,
      tokens: options.tokens,
      hosts: options.hosts,
      audit: options.log.child({ audit: true }),
      workloadLifetimeMs: options.workloadLifetimeMs ?? DAY_MS,
      hostLifetimeMs: options.hostLifetimeMs ?? 30 * DAY_MS,
      reEnrolGraceMs: options.reEnrolGraceMs ?? 30 * DAY_MS,
      turns,
      now,
    };
    this.#service = new CaService(common);
    this.#hosts = new HostService({
      ...common,
      readMeshConfig: options.readMeshConfig ?? (async () => undefined),
      readFleetRoot: options.readFleetRoot,
    });
    this.#certificate = new ServerCertificate({
      ...options,
      lifetimeMs: options.serverLifetimeMs ?? DAY_MS,
      clock: this.#clock,
    });
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
    this.#serve(CREATE_CERTIFICATE, async (request, caller) => this.#createCertificate(request, caller));
    this.#serve(DESCRIBE, async ({ host, keySha256 }, caller) => this.#hosts.describe(host, keySha256, caller));
    this.#serve(CHALLENGE, async () => this.#hosts.challenge());
    this.#serve(RE_ENROL, async ({ proof, csr }, caller) => ({
      certChain: await this.#hosts.reEnrol(proof, csr, caller),
    }));
    this.#serve(LEAVE, async ({ proof }, caller) => {
      await this.#hosts.leave(proof, caller);
      return {};
    });
  }

  /**
   * Starts serving, once. Port 0 takes a free one. After a failure nothing is left running.
   * @returns the address with its real port
   * @throws TrysailError CA_LISTEN_FAILED
   */
  async listen(address: string): Promise<string> {
    await this.#certificate.start();
    const { source } = this.#certificate;
    const credentials = experimental.createCertificateProviderServerCredentials(source, source, false);
    let port: number;
    try {
      port = await this.#bind(address, credentials);
    } catch (cause) {
      await this.close(0);
      throw new TrysailError('CA_LISTEN_FAILED', `the CA cannot listen on ${address}: ${errorMessage(cause)}`, {
        cause,
        remedy: 'Stop what holds the port, or set another one in ca.listen.',
      });
    }
    this.#address = address.replace(/:\d+$/, `:${port}`);
    return this.#address;
  }

  status(): CaServerStatus {
    const { trustDomain, rootFingerprint, notAfterMs } = this.#options.authority.material;
    return {
      address: this.#address,
      trustDomain,
      rootFingerprint,
      caNotAfterMs: notAfterMs,
      serverCertificateNotAfterMs: this.#certificate.notAfterMs,
      issued: this.#service.counts.issued + this.#hosts.counts.issued,
      refused: this.#service.counts.refused + this.#hosts.counts.refused,
    };
  }

  /** Lets requests in flight end, at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await this.#certificate.stop();
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

  async #bind(address: string, credentials: ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  }

  #serve<Q, A>(method: MethodDefinition<Q, A>, answer: (request: Q, caller: Caller) => Promise<A>): void {
    this.#server.addService(
      { call: method },
      {
        call: (call: ServerUnaryCall<Q, A>, callback: sendUnaryData<A>): void => {
          void this.#answer(call, callback, answer);
        },
      },
    );
  }

  async #answer<Q, A>(
    call: ServerUnaryCall<Q, A>,
    callback: sendUnaryData<A>,
    answer: (request: Q, caller: Caller) => Promise<A>,
  ): Promise<void> {
    const peer = call.getPeer();
    if (!this.#limit.take(peer.replace(/:\d+$/, ''))) {
      callback({ code: grpcStatus.RESOURCE_EXHAUSTED, details: 'too many requests from this address: wait and retry' });
      return;
    }
    try {
      callback(null, await answer(call.request, callerOf(call, peer)));
    } catch (error) {
      if (error instanceof Refusal) callback({ code: STATUS_CODES[error.status], details: error.message });
      else {
        this.#options.log.error({ err: error }, 'the CA cannot decide a request');
        callback({ code: grpcStatus.INTERNAL, details: 'the CA cannot read or write its state: see its log' });
      }
    }
  }

  async #createCertificate(request: IstioCertificateRequest, caller: Caller) {
    const { csr, validityDuration, metadata } = request;
    const certChain = await this.#service.createCertificate(
      {
        csrPem: csr,
        lifetimeMs: Math.max(0, Number(validityDuration) * 1000),
        identity: textField(metadata?.['ImpersonatedIdentity']),
        host: textField(metadata?.['Host']),
      },
      caller,
    );
    return create(IstioCertificateResponseSchema, { certChain });
  }
}

const STATUS_CODES: Readonly<Record<RefusalStatus, grpcStatus>> = {
  UNAUTHENTICATED: grpcStatus.UNAUTHENTICATED,
  PERMISSION_DENIED: grpcStatus.PERMISSION_DENIED,
  INVALID_ARGUMENT: grpcStatus.INVALID_ARGUMENT,
  RETRY: grpcStatus.ABORTED,
};

function textField(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function callerOf(call: ServerUnaryCall<unknown, unknown>, peer: string): Caller {
  const [authorization] = call.metadata.get('authorization');
  const bearer = typeof authorization === 'string' ? /^Bearer\s+(\S+)\s*$/i.exec(authorization)?.[1] : undefined;
  // grpc-js gives a certificate only if TLS has verified it.
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  return { peer, token: bearer, certificate };
}
