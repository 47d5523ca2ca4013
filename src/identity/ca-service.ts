/** Who may have which certificate: the CA's decisions, free of gRPC and TLS. */
import type { Log } from '../lib/log.ts';
import { hostSpiffeId, parseHostSpiffeId, parseWorkloadSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import { certificateFacts, parseCertificate, sha256Hex } from './certificate.ts';
import { type CertificateAuthority, type Issued, issuingHost } from './certificate-authority.ts';
import { checkCsr } from './csr-check.ts';
import { isEntitled } from './entitlement.ts';
import { decodeOffered, refuseTakenName, tokenRefusal } from './host-admission.ts';
import { type HostRecord, type HostRecords, isHostName, MAX_HOST_NAME } from './host-records.ts';
import { HostTurns } from './host-turns.ts';
import type { JoinTokens } from './join-tokens.ts';
import { Refusal } from './refusal.ts';

export interface SigningRequest {
  readonly csrPem: string;
  /** Wished lifetime in milliseconds; 0 for the CA's own choice. */
  readonly lifetimeMs: number;
  /** The workload that a host asks for (`ImpersonatedIdentity`, as Istio's ztunnel writes it). */
  readonly identity: string | undefined;
  /** The name under which a host joins (`Host`). */
  readonly host: string | undefined;
}

/** What the connection proves of the caller. */
export interface Caller {
  /** Address and port, for the audit. */
  readonly peer: string;
  /** The bearer token, if it sent one. */
  readonly token: string | undefined;
  /** DER of a client certificate that TLS has verified against the roots. */
  readonly certificate: Buffer | undefined;
}

export interface CaServiceOptions {
  readonly authority: CertificateAuthority;
  readonly tokens: JoinTokens;
  readonly hosts: HostRecords;
  /** Gets one line for every certificate and every refusal. */
  readonly audit: Pick<Log, 'info' | 'warn'>;
  /** The upper bound of a workload's certificate, and what a caller gets that wishes for nothing. */
  readonly workloadLifetimeMs: number;
  /** Of a host credential, whatever the caller wishes: Istio's agents ask for a day, after which they would be out. */
  readonly hostLifetimeMs: number;
  /** For how long after its end a host credential can be had anew with its key, in milliseconds. */
  readonly reEnrolGraceMs: number;
  /** Shared with whoever else changes records. */
  readonly turns?: HostTurns;
  readonly now: () => number;
}

interface Decision {
  readonly kind: 'join' | 'host-renewal' | 'workload' | 'workload-renewal';
  readonly id: SpiffeId;
  readonly host: string;
  readonly issued: Issued;
}

export class CaService {
  readonly #options: CaServiceOptions;
  readonly #turns: HostTurns;
  #issued = 0;
  #refused = 0;

  constructor(options: CaServiceOptions) {
    this.#options = options;
    this.#turns = options.turns ?? new HostTurns();
  }

  get counts(): { readonly issued: number; readonly refused: number } {
    return { issued: this.#issued, refused: this.#refused };
  }

  /** The PEM chain, leaf first, roots last. Throws Refusal, or the system's error when the CA's state is unreadable. */
  async createCertificate(request: SigningRequest, caller: Caller): Promise<string[]> {
    const { audit, authority } = this.#options;
    try {
      const { kind, id, host, issued } = await this.#decide(request, caller);
      this.#issued += 1;
      const { serial, notAfterMs } = issued;
      audit.info({ kind, id, host, serial, notAfter: new Date(notAfterMs).toISOString(), peer: caller.peer }, 'issued');
      return authority.chainOf(issued);
    } catch (error) {
      this.#refused += 1;
      const reason = error instanceof Error ? error.message : String(error);
      audit.warn(
        { reason, asked: printable(request.identity), host: printable(request.host), peer: caller.peer },
        'refused',
      );
      throw error;
    }
  }

  async #decide(request: SigningRequest, caller: Caller): Promise<Decision> {
    const csr = await checkCsr(request.csrPem);
    if ('problem' in csr) throw new Refusal('INVALID_ARGUMENT', csr.problem);
    if (caller.token !== undefined) return this.#join(request, caller.token, csr.publicKey);
    if (caller.certificate === undefined) {
      throw new Refusal(
        'UNAUTHENTICATED',
        'neither a join token nor a valid client certificate of this mesh came with the request: ' +
          'a certificate that has expired does not count; join with a new token',
      );
    }
    const facts = certificateFacts(parseCertificate(caller.certificate, 'the client certificate'));
    if (facts.notAfterMs <= this.#options.now()) {
      throw new Refusal('UNAUTHENTICATED', 'the client certificate has expired: join with a new token');
    }
    const { trustDomain } = this.#options.authority.material;
    const host = parseHostSpiffeId(facts.spiffeId ?? '');
    if (host?.trustDomain === trustDomain) {
      return this.#forHost(request, host.host, caller.certificate, csr.publicKey);
    }
    const workload = parseWorkloadSpiffeId(facts.spiffeId ?? '');
    if (workload?.trustDomain === trustDomain && facts.spiffeId !== undefined) {
      return this.#renewWorkload(request, facts.spiffeId, caller.certificate, csr.publicKey);
    }
    throw new Refusal('PERMISSION_DENIED', `the client certificate is not one of a host or workload of ${trustDomain}`);
  }

  async #join(request: SigningRequest, tokenText: string, publicKey: Buffer): Promise<Decision> {
    const offered = decodeOffered(tokenText);
    const checked = await this.#options.tokens.verify(offered.id, offered.secret, request.host);
    if ('problem' in checked) {
      throw tokenRefusal(checked.problem);
    }
    const { token } = checked;
    const host = request.host ?? token.host;
    const id = host === undefined ? undefined : hostSpiffeId(this.#options.authority.material.trustDomain, host);
    if (host === undefined || id === undefined || !isHostName(host)) {
      throw new Refusal(
        'INVALID_ARGUMENT',
        `the request names no host: give "Host" in its metadata (letters, digits, ".", "-", "_", at most ${MAX_HOST_NAME}), ` +
          'or use a token made with --host',
      );
    }
    return this.#turns.run(host, async () => {
      const keySha256 = sha256Hex(publicKey);
      const record = await this.#options.hosts.get(host);
      refuseTakenName({
        host,
        keySha256,
        record,
        token,
        nowMs: this.#options.now(),
        graceMs: this.#options.reEnrolGraceMs,
      });
      const giveBack = await this.#options.tokens.claim(token, { host, keySha256 });
      if (giveBack === undefined) throw tokenRefusal('used');
      try {
        const issued = await this.#options.authority.signHost(publicKey, id, this.#options.hostLifetimeMs);
        const { serial, notAfterMs } = issued;
        const enrolledAtMs = this.#options.now();
        const { allow, id: tokenId } = token;
        await this.#options.hosts.put({ host, allow, keySha256, enrolledAtMs, tokenId, serial, notAfterMs });
        return { kind: 'join', id, host, issued };
      } catch (error) {
        await giveBack().catch(() => undefined);
        throw error;
      }
    });
  }

  async #forHost(request: SigningRequest, host: string, certificate: Buffer, publicKey: Buffer): Promise<Decision> {
    const record = await this.#goodStanding(host);
    const caller = parseCertificate(certificate, 'the client certificate');
    if (sha256Hex(caller.publicKey.export({ type: 'spki', format: 'der' })) !== record.keySha256) {
      throw replaced(host);
    }
    const { trustDomain } = this.#options.authority.material;
    if (request.identity === undefined) {
      if (sha256Hex(publicKey) !== record.keySha256) {
        throw new Refusal('PERMISSION_DENIED', 'a host credential is renewed with the key that the host joined with');
      }
      const id = hostSpiffeId(trustDomain, host);
      if (id === undefined) throw new Refusal('INVALID_ARGUMENT', `"${host}" is not a host name`);
      return this.#turns.run(host, async () => {
        // Read again: the host may have joined anew, or left, while this request waited.
        const current = await this.#goodStanding(host);
        if (current.keySha256 !== record.keySha256) throw replaced(host);
        const issued = await this.#options.authority.signHost(publicKey, id, this.#options.hostLifetimeMs);
        await this.#options.hosts.put({ ...current, serial: issued.serial, notAfterMs: issued.notAfterMs });
        return { kind: 'host-renewal', id, host, issued };
      });
    }
    const id = this.#entitled(record, request.identity);
    const issued = await this.#options.authority.signWorkload(publicKey, id, record, this.#workloadLifetime(request));
    return { kind: 'workload', id, host, issued };
  }

  async #renewWorkload(
    request: SigningRequest,
    id: SpiffeId,
    certificate: Buffer,
    publicKey: Buffer,
  ): Promise<Decision> {
    if (request.identity !== undefined && request.identity !== id) {
      throw new Refusal('PERMISSION_DENIED', `the certificate of ${id} renews that identity alone`);
    }
    const through = issuingHost(certificate);
    if (through === undefined) {
      throw new Refusal('PERMISSION_DENIED', 'the certificate was not issued by this CA: renew it where it came from');
    }
    const record = await this.#goodStanding(through.host);
    if (through.keySha256 !== record.keySha256) throw replaced(through.host);
    this.#entitled(record, id);
    const issued = await this.#options.authority.signWorkload(publicKey, id, through, this.#workloadLifetime(request));
    return { kind: 'workload-renewal', id, host: through.host, issued };
  }

  async #goodStanding(host: string): Promise<HostRecord> {
    const record = await this.#options.hosts.get(host);
    if (record === undefined) {
      throw new Refusal('PERMISSION_DENIED', `this CA has no record of host "${host}": join with a new token`);
    }
    if (record.revokedAtMs !== undefined) {
      throw new Refusal('PERMISSION_DENIED', `host "${host}" has been revoked`);
    }
    if (record.leftAtMs !== undefined) {
      throw new Refusal('PERMISSION_DENIED', `host "${host}" has left the mesh: join it with a new token`);
    }
    return record;
  }

  #entitled(record: HostRecord, identity: string): SpiffeId {
    const workload = parseWorkloadSpiffeId(identity);
    const { trustDomain } = this.#options.authority.material;
    if (workload === undefined) {
      throw new Refusal(
        'INVALID_ARGUMENT',
        `${JSON.stringify(printable(identity))} is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>`,
      );
    }
    if (workload.trustDomain !== trustDomain) {
      throw new Refusal(
        'PERMISSION_DENIED',
        `this CA signs for the trust domain ${trustDomain}, not ${workload.trustDomain}: set trustDomain in meshconfig.yaml`,
      );
    }
    if (!isEntitled(record.allow, workload)) {
      const wanted = `${workload.namespace}/${workload.serviceAccount}`;
      throw new Refusal(
        'PERMISSION_DENIED',
        `host "${record.host}" may have ${record.allow.join(', ')}, not ${wanted}: join it again with a token made ` +
          `with --allow ${wanted}`,
      );
    }
    return identity as SpiffeId;
  }

  #workloadLifetime({ lifetimeMs }: SigningRequest): number {
    const most = this.#options.workloadLifetimeMs;
    return lifetimeMs > 0 ? Math.min(lifetimeMs, most) : most;
  }
}

function replaced(host: string): Refusal {
  return new Refusal('PERMISSION_DENIED', `host "${host}" has joined anew with another key: this certificate is void`);
}

/** A caller's text for a log line or a message: bounded, no control characters. */
function printable(text: string | undefined): string | undefined {
  return text?.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '?');
}
