/**
 * Certificates from a CA of Istio's API: joins once with a token, keeps the host credential, comes back with its own key
 * when that has ended, and asks with it for the certificates of the host's workloads.
 */
import { errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { hostSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import { isRefusal } from './ca-addresses.ts';
import type { CaAnswer } from './ca-client.ts';
import { certificateFacts, parseCertificate } from './certificate.ts';
import type { CertificateProvider, IssuedCertificate, ProviderStatus } from './certificate-provider.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { createCsr } from './csr.ts';
import { addressesOf, HostCa, type OfferedToken } from './host-ca.ts';
import { type HostCredential, HostCredentialFile } from './host-credential.ts';
import { decodeJoinToken } from './join-token.ts';
import { generatePrivateKey, type PrivateKey } from './private-key.ts';
import { renewalTimeMs } from './renewal.ts';
import { mergeRoots } from './trust-bundle.ts';

export interface TrysailCaOptions {
  /** The agent's state folder; host key and credential live in `identity/` below it. */
  readonly stateDir: string;
  readonly hostName: string;
  readonly trustDomain: string;
  /** `host:port`; empty: those of the join token. */
  readonly addresses: readonly string[];
  /** The text of the join token, or undefined when there is none (any more). Asked each time that one is needed. */
  readonly readJoinToken: () => Promise<string | undefined>;
  readonly log: Log;
  /** Bound of one attempt at one address, in milliseconds; default 10 s. */
  readonly requestTimeoutMs?: number;
  /** Wished lifetime of workload certificates in milliseconds; default: as the CA likes (24 h). */
  readonly workloadLifetimeMs?: number | undefined;
  readonly clock?: Clock;
  readonly random?: () => number;
}

const NEW_TOKEN =
  'Run "trysail token create" on the CA, and "sudo trysail join --token-file …" with what it prints on this host.';

export class TrysailCaProvider implements CertificateProvider {
  readonly issues = true;
  readonly persistable = true;
  readonly #options: TrysailCaOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #ca: HostCa;
  readonly #file: HostCredentialFile;
  #credential: HostCredential | undefined;
  #loaded = false;
  /** One join or renewal at a time, however many workloads wait for it. */
  #preparing: Promise<HostCredential> | undefined;
  #comingBack: Promise<HostCredential> | undefined;
  /** A token that the CA has refused is not offered again. */
  #refusedTokenId: string | undefined;
  #refusal: string | undefined;

  constructor(options: TrysailCaOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#random = options.random ?? Math.random;
    this.#file = new HostCredentialFile({ ...options, random: this.#random });
    this.#ca = new HostCa({ ...options, now: () => this.#clock.now() });
  }

  async issue(identity: SpiffeId, signal: AbortSignal): Promise<IssuedCertificate> {
    const credential = await this.#prepare(signal);
    try {
      return await this.#issueWith(credential, identity, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return this.#issueWith(await this.#afterRefusal(credential, error, signal), identity, signal);
    }
  }

  async maintain(signal: AbortSignal): Promise<void> {
    try {
      await this.#prepare(signal);
    } catch (error) {
      this.#options.log.warn({ err: errorMessage(error) }, 'the host credential cannot be looked after');
    }
  }

  watch(): void {
    // The CA never pushes: renewals are the keeper's.
  }

  close(): void {
    this.#ca.close();
  }

  status(): ProviderStatus {
    const credential = this.#credential;
    return {
      provider: 'trysail-ca',
      addresses: this.#ca.addresses(credential?.addresses ?? []),
      ...this.#ca.health,
      hostCredential:
        credential?.facts.spiffeId === undefined
          ? undefined
          : {
              spiffeId: credential.facts.spiffeId,
              serial: credential.facts.serial,
              notAfterMs: credential.facts.notAfterMs,
              renewAtMs: credential.renewAtMs,
            },
    };
  }

  async #prepare(signal: AbortSignal): Promise<HostCredential> {
    this.#preparing ??= this.#currentCredential(signal).finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  async #currentCredential(signal: AbortSignal): Promise<HostCredential> {
    const now = this.#clock.now();
    const credential = this.#credential ?? (await this.#load());
    if (credential === undefined || credential.facts.notAfterMs <= now) {
      const token = await this.#unusedToken(credential);
      if (token !== undefined) return this.#join(token, signal);
      if (credential === undefined) throw this.#needsToken();
      return this.#comeBack(credential, signal);
    }
    if (credential.renewAtMs > now) return credential;
    try {
      return await this.#renew(credential, signal);
    } catch (error) {
      this.#options.log.warn({ err: errorMessage(error) }, 'the host credential is not renewed yet');
      // Still good for the CA until it ends; the next request tries again.
      return credential;
    }
  }

  async #load(): Promise<HostCredential | undefined> {
    if (this.#loaded) return undefined;
    this.#credential = await this.#file.load();
    this.#loaded = true;
    return this.#credential;
  }

  #needsToken(): TrysailError {
    return new TrysailError('JOIN_TOKEN_MISSING', 'this host has not joined yet, and there is no unused join token', {
      remedy: NEW_TOKEN,
    });
  }

  /** Refused with a credential in good order, as the host thinks: what may be the operator's answer, or the CA's clock. */
  async #afterRefusal(credential: HostCredential, error: unknown, signal: AbortSignal): Promise<HostCredential> {
    // Revoked, or entitled to too little: a newer token is the operator's answer to both.
    const token = await this.#unusedToken(credential);
    if (token !== undefined) return this.#join(token, signal);
    // Unauthenticated: by the CA's clock the credential has ended.
    if (error instanceof TrysailError && error.code === 'CA_UNAUTHENTICATED') return this.#comeBack(credential, signal);
    throw error;
  }

  /** Once for all who wait. Throws HOST_CREDENTIAL_EXPIRED with the CA's words when it does not let the host back in. */
  async #comeBack(credential: HostCredential, signal: AbortSignal): Promise<HostCredential> {
    // Somebody else who was refused has been faster.
    if (this.#credential !== undefined && this.#credential.facts.serial !== credential.facts.serial) {
      return this.#credential;
    }
    this.#comingBack ??= this.#reEnrol(credential, signal).finally(() => {
      this.#comingBack = undefined;
    });
    return this.#comingBack;
  }

  async #reEnrol(credential: HostCredential, signal: AbortSignal): Promise<HostCredential> {
    const { hostName, log } = this.#options;
    const ended = new Date(credential.facts.notAfterMs).toISOString();
    try {
      const answer = await this.#ca.reEnrol(credential, signal);
      const roots = mergeRoots(credential.rootsPem, answer.rootsPem, this.#clock.now());
      const { privateKey, addresses = [], tokenId } = credential;
      const renewed = await this.#accept(privateKey, answer, roots, addresses, tokenId);
      log.warn({ host: hostName, ended, serial: renewed.facts.serial }, 'back in the mesh with the key of before');
      return renewed;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      throw new TrysailError(
        'HOST_CREDENTIAL_EXPIRED',
        `the host credential, good until ${ended}, is not renewed: ${errorMessage(error)}`,
        { remedy: `Check this host's clock. If it is right: ${NEW_TOKEN}`, cause: error },
      );
    }
  }

  /** The configured token unless it is the one that the credential came from, or has been refused. */
  async #unusedToken(credential: HostCredential | undefined): Promise<OfferedToken | undefined> {
    const text = (await this.#options.readJoinToken())?.trim();
    if (text === undefined || text === '') return undefined;
    const token = decodeJoinToken(text);
    if (token.id === this.#refusedTokenId) {
      throw new TrysailError(
        'JOIN_TOKEN_REFUSED',
        `the CA has refused the join token ${token.id}: ${this.#refusal ?? ''}`,
        {
          remedy: 'Write a new token into the file identity.ca.joinTokenFile.',
        },
      );
    }
    return token.id === credential?.tokenId ? undefined : { text, token };
  }

  async #join(offered: OfferedToken, signal: AbortSignal): Promise<HostCredential> {
    const { hostName, trustDomain, log } = this.#options;
    const { token } = offered;
    try {
      // The same key, so that a join whose answer was lost can be repeated.
      const key = this.#credential?.privateKey ?? (await this.#file.hostKey());
      const answer = await this.#ca.join(offered, key, signal);
      const credential = await this.#accept(key, answer, answer.rootsPem, addressesOf(token), token.id);
      log.info({ host: hostName, trustDomain, tokenId: token.id, serial: credential.facts.serial }, 'joined the mesh');
      return credential;
    } catch (error) {
      if (isRefusal(error)) {
        this.#refusedTokenId = token.id;
        this.#refusal = errorMessage(error);
      }
      throw error;
    }
  }

  async #renew(credential: HostCredential, signal: AbortSignal): Promise<HostCredential> {
    const { privateKey, addresses = [], tokenId } = credential;
    const request = { csrPem: createCsr(privateKey), lifetimeMs: 0, metadata: {} };
    const answer = await this.#ca.ask(credential, request, signal);
    const roots = mergeRoots(credential.rootsPem, answer.rootsPem, this.#clock.now());
    return this.#accept(privateKey, answer, roots, addresses, tokenId);
  }

  async #issueWith(credential: HostCredential, identity: SpiffeId, signal: AbortSignal): Promise<IssuedCertificate> {
    const privateKey = await generatePrivateKey();
    const lifetimeMs = this.#options.workloadLifetimeMs ?? 0;
    const request = { csrPem: createCsr(privateKey), lifetimeMs, metadata: { ImpersonatedIdentity: identity } };
    const answer = await this.#ca.ask(credential, request, signal);
    await this.#learnRoots(answer.rootsPem);
    return { certificateChainPem: answer.chainPem.join(''), privateKey, rootsPem: answer.rootsPem };
  }

  async #accept(
    privateKey: PrivateKey,
    answer: CaAnswer,
    rootsPem: readonly string[],
    addresses: readonly string[],
    tokenId: string | undefined,
  ): Promise<HostCredential> {
    const { hostName, trustDomain } = this.#options;
    const facts = certificateFacts(parseCertificate(answer.chainPem[0] ?? '', "the CA's answer"));
    const expected = hostSpiffeId(trustDomain, hostName);
    if (facts.spiffeId !== expected) {
      throw new TrysailError(
        'TRUST_DOMAIN_MISMATCH',
        `the CA signed ${facts.spiffeId ?? 'no SPIFFE id'} for this host, which is ${expected ?? hostName} by its configuration`,
        { remedy: "Set trustDomain in meshconfig.yaml to the CA's, and host.name to the name of the token." },
      );
    }
    const credential: HostCredential = {
      certificateChainPem: answer.chainPem.join(''),
      privateKey,
      rootsPem,
      addresses,
      tokenId,
      facts,
      renewAtMs: renewalTimeMs(facts, this.#random, this.#clock.now()),
    };
    this.#credential = credential;
    await this.#file.save(credential);
    return credential;
  }

  async #learnRoots(received: readonly string[]): Promise<void> {
    const credential = this.#credential;
    if (credential === undefined) return;
    const nowMs = this.#clock.now();
    const rootsPem = mergeRoots(credential.rootsPem, received, nowMs);
    if (rootsPem.join('') === credential.rootsPem.join('')) return;
    // The CA signs with its first root. A credential of another would be void once that is withdrawn: renewed next time.
    const renewAtMs = rootsPem[0] === credential.rootsPem[0] ? credential.renewAtMs : nowMs;
    this.#credential = { ...credential, rootsPem, renewAtMs };
    this.#options.log.info({ roots: rootsPem.length }, "the CA's roots have changed");
    await this.#file.save(this.#credential);
  }
}
