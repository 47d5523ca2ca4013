/** The CA's decisions on hosts themselves, beside certificates: what a join would bring, coming back, leaving. */
import { hostSpiffeId } from '../model/spiffe-id.ts';
import type { Caller, CaServiceOptions } from './ca-service.ts';
import { sha256Hex } from './certificate.ts';
import { checkCsr } from './csr-check.ts';
import { decodeOffered, isReEnrollable, refuseTakenName, tokenRefusal } from './host-admission.ts';
import type { HostProof, JoinDescription } from './host-method.ts';
import { Nonces, type ProofPurpose, provenKey } from './host-proof.ts';
import type { HostRecord } from './host-records.ts';
import type { HostTurns } from './host-turns.ts';
import { Refusal } from './refusal.ts';

export interface HostServiceOptions extends CaServiceOptions {
  readonly turns: HostTurns;
  /** The mesh configuration that is handed out with a join; undefined: none. */
  readonly readMeshConfig: () => Promise<string | undefined>;
  /** The public key of the fleet's root that is handed out with a join; undefined: none. */
  readonly readFleetRoot?: (() => Promise<string | undefined>) | undefined;
  readonly nonces?: Nonces;
}

export class HostService {
  readonly #options: HostServiceOptions;
  readonly #nonces: Nonces;
  #issued = 0;
  #refused = 0;

  constructor(options: HostServiceOptions) {
    this.#options = options;
    this.#nonces = options.nonces ?? new Nonces();
  }

  get counts(): { readonly issued: number; readonly refused: number } {
    return { issued: this.#issued, refused: this.#refused };
  }

  /**
   * What a join would bring, or the refusal that it would meet; nothing of the token is used up.
   * @param keySha256 of the key that the host has already
   */
  async describe(host: string, keySha256: string | undefined, caller: Caller): Promise<JoinDescription> {
    const { tokens, hosts, now, reEnrolGraceMs, authority, readMeshConfig } = this.#options;
    return this.#audited('describe', host, caller, async () => {
      if (caller.token === undefined) throw new Refusal('UNAUTHENTICATED', 'no join token came with the request');
      const offered = decodeOffered(caller.token);
      const checked = await tokens.verify(offered.id, offered.secret, host);
      if ('problem' in checked) throw tokenRefusal(checked.problem);
      const { token } = checked;
      const request = { host, keySha256: keySha256 ?? '', token, nowMs: now(), graceMs: reEnrolGraceMs };
      refuseTakenName({ ...request, record: await hosts.get(host) });
      if (token.state === 'used' && !(await tokens.wasUsedBy(token.id, { host, keySha256: keySha256 ?? '' }))) {
        throw tokenRefusal('used');
      }
      const meshConfig = await readMeshConfig();
      const fleetRoot = await this.#options.readFleetRoot?.();
      return {
        trustDomain: authority.material.trustDomain,
        ...(meshConfig === undefined ? {} : { meshConfig }),
        ...(fleetRoot === undefined ? {} : { fleetRoot }),
        timeMs: now(),
        allow: [...token.allow],
        expiresAtMs: token.expiresAtMs,
      };
    });
  }

  challenge(): { readonly nonce: string; readonly timeMs: number } {
    return { nonce: this.#nonces.make(), timeMs: this.#options.now() };
  }

  /** A new credential for a host whose own has ended not too long ago; the PEM chain, leaf first, roots last. */
  async reEnrol(proof: HostProof, csrPem: string, caller: Caller): Promise<string[]> {
    const { authority, hosts, hostLifetimeMs, now, reEnrolGraceMs, turns } = this.#options;
    return this.#audited('re-enrol', proof.host, caller, async () =>
      turns.run(proof.host, async () => {
        const record = await this.#provenRecord(proof, 're-enrol', csrPem);
        if (record.leftAtMs !== undefined) {
          throw new Refusal('PERMISSION_DENIED', `host "${proof.host}" has left the mesh: join it with a new token`);
        }
        const csr = await checkCsr(csrPem);
        if ('problem' in csr) throw new Refusal('INVALID_ARGUMENT', csr.problem);
        if (sha256Hex(csr.publicKey) !== record.keySha256) {
          throw new Refusal('PERMISSION_DENIED', 'a host credential is renewed with the key that the host joined with');
        }
        if (!isReEnrollable(record, now(), reEnrolGraceMs)) {
          throw new Refusal(
            'PERMISSION_DENIED',
            `the credential of host "${proof.host}" ended at ${new Date(record.notAfterMs).toISOString()}, longer ago ` +
              'than the grace of this CA (ca.reEnrolGrace): join it with a new token',
          );
        }
        const id = hostSpiffeId(authority.material.trustDomain, proof.host);
        if (id === undefined) throw new Refusal('INVALID_ARGUMENT', 'this is not a host name');
        const issued = await authority.signHost(csr.publicKey, id, hostLifetimeMs);
        const { serial, notAfterMs } = issued;
        await hosts.put({ ...record, serial, notAfterMs });
        this.#issued += 1;
        return authority.chainOf(issued);
      }),
    );
  }

  /** The host's credential is void from now on, and its name free. A host that has left already is no error. */
  async leave(proof: HostProof, caller: Caller): Promise<void> {
    const { hosts, now, turns } = this.#options;
    await this.#audited('leave', proof.host, caller, async () =>
      turns.run(proof.host, async () => {
        const record = await this.#provenRecord(proof, 'leave', '');
        if (record.leftAtMs === undefined) await hosts.leave(proof.host, now());
      }),
    );
  }

  async #provenRecord(proof: HostProof, purpose: ProofPurpose, payload: string): Promise<HostRecord> {
    const keySha256 = provenKey(proof, purpose, payload);
    if (keySha256 === undefined) throw new Refusal('UNAUTHENTICATED', "the proof of the host's key does not verify");
    if (!this.#nonces.isFresh(proof.nonce)) {
      throw new Refusal('RETRY', 'the proof is older than a minute, or made for another start of this CA: ask again');
    }
    const record = await this.#options.hosts.get(proof.host);
    if (record === undefined || record.keySha256 !== keySha256) {
      throw new Refusal(
        'PERMISSION_DENIED',
        `this CA does not know host "${proof.host}" by this key: join with a token`,
      );
    }
    if (record.revokedAtMs !== undefined) {
      throw new Refusal('PERMISSION_DENIED', `host "${proof.host}" has been revoked`);
    }
    return record;
  }

  async #audited<T>(kind: string, host: string, caller: Caller, work: () => Promise<T>): Promise<T> {
    const { audit } = this.#options;
    const fields = { kind, host: host.slice(0, 200).replaceAll(/[^\x20-\x7e]/g, '?'), peer: caller.peer };
    try {
      const result = await work();
      audit.info(fields, 'granted');
      return result;
    } catch (error) {
      this.#refused += 1;
      audit.warn({ ...fields, reason: error instanceof Error ? error.message : String(error) }, 'refused');
      throw error;
    }
  }
}
