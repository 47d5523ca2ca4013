/**
 * Certificates from a CA of Istio's API: joins once with a token, keeps the host credential, and asks with it for the
 * certificates of the host's workloads.
 */
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorMessage, TrysailError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { hostSpiffeId, type SpiffeId } from '../model/spiffe-id.ts';
import { formatCaAddress, parseCaAddress } from './ca-address.ts';
import { type CaAnswer, type CaRequest, requestCertificate } from './ca-client.ts';
import { caSpiffeId } from './ca-id.ts';
import { fetchPinnedRoot } from './ca-root.ts';
import { type CertificateFacts, certificateFacts, parseCertificate } from './certificate.ts';
import type { CertificateProvider, IssuedCertificate, ProviderStatus } from './certificate-provider.ts';
import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import { createCsr } from './csr.ts';
import { decodeJoinToken, type JoinToken } from './join-token.ts';
import { generatePrivateKey, PrivateKey } from './private-key.ts';
import { renewalTimeMs } from './renewal.ts';
import { readSealed, type Sealed, writeSealed, writeState } from './sealed-file.ts';
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

type HostCredential = Sealed & { readonly facts: CertificateFacts; readonly renewAtMs: number };

/** Errors after which another address of the CA may do better. */
const TRY_NEXT = new Set([
  'CA_UNREACHABLE',
  'CA_UNTRUSTED',
  'CA_ROOT_MISMATCH',
  'CA_FAILED',
  'CLOCK_BEHIND',
  'CLOCK_AHEAD',
]);
const REFUSED = new Set(['CA_REFUSED', 'CA_UNAUTHENTICATED']);

export class TrysailCaProvider implements CertificateProvider {
  readonly issues = true;
  readonly persistable = true;
  readonly #options: TrysailCaOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  #credential: HostCredential | undefined;
  #loaded = false;
  /** One join or renewal at a time, however many workloads wait for it. */
  #preparing: Promise<HostCredential> | undefined;
  /** A token that the CA has refused is not offered again. */
  #refusedTokenId: string | undefined;
  #preferred: string | undefined;
  #reachable: boolean | undefined;
  #lastContactAtMs: number | undefined;
  #lastError: string | undefined;

  constructor(options: TrysailCaOptions) {
    this.#options = options;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#random = options.random ?? Math.random;
  }

  async issue(identity: SpiffeId, signal: AbortSignal): Promise<IssuedCertificate> {
    const credential = await this.#prepare(signal);
    try {
      return await this.#issueWith(credential, identity, signal);
    } catch (error) {
      // Refused: revoked, or entitled to too little. A newer token is the operator's answer to both.
      if (!(error instanceof TrysailError) || !REFUSED.has(error.code)) throw error;
      const token = await this.#unusedToken(credential);
      if (token === undefined) throw error;
      return this.#issueWith(await this.#join(token, signal), identity, signal);
    }
  }

  async maintain(signal: AbortSignal): Promise<void> {
    try {
      await this.#prepare(signal);
    } catch (error) {
      this.#lastError = errorMessage(error);
    }
  }

  watch(): void {
    // The CA never pushes: renewals are the keeper's.
  }

  close(): void {
    // No connection outlives a request.
  }

  status(): ProviderStatus {
    const credential = this.#credential;
    return {
      provider: 'trysail-ca',
      addresses: this.#addresses(credential?.addresses ?? []),
      reachable: this.#reachable,
      lastContactAtMs: this.#lastContactAtMs,
      lastError: this.#lastError,
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

  #path(name: string): string {
    return join(this.#options.stateDir, 'identity', name);
  }

  #addresses(known: readonly string[]): readonly string[] {
    const all = this.#options.addresses.length > 0 ? this.#options.addresses : known;
    const preferred = this.#preferred;
    return preferred !== undefined && all.includes(preferred)
      ? [preferred, ...all.filter((address) => address !== preferred)]
      : all;
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
      if (token === undefined) throw this.#needsToken(credential);
      return this.#join(token, signal);
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
    const stored = await readSealed(this.#path('host.json')).catch((error: unknown) => {
      this.#options.log.error({ err: errorMessage(error) }, 'the host credential on disk is unusable');
      return undefined;
    });
    this.#loaded = true;
    const { trustDomain, hostName } = this.#options;
    if (stored === undefined) return undefined;
    const expected = hostSpiffeId(trustDomain, hostName);
    if (stored.facts.spiffeId !== expected) {
      this.#options.log.warn(
        { found: stored.facts.spiffeId, expected },
        'the host credential on disk has another name',
      );
      return undefined;
    }
    this.#credential = { ...stored, renewAtMs: renewalTimeMs(stored.facts, this.#random, undefined) };
    return this.#credential;
  }

  #needsToken(credential: HostCredential | undefined): TrysailError {
    const remedy =
      'Run "trysail token create" on the CA, and write what it prints into the file identity.ca.joinTokenFile.';
    if (credential === undefined) {
      return new TrysailError('JOIN_TOKEN_MISSING', 'this host has not joined yet, and there is no unused join token', {
        remedy,
      });
    }
    const ended = new Date(credential.facts.notAfterMs).toISOString();
    return new TrysailError(
      'HOST_CREDENTIAL_EXPIRED',
      `the host credential expired at ${ended}, and there is no unused join token`,
      {
        remedy: `Check this host's clock. If it is right: ${remedy}`,
      },
    );
  }

  /** The configured token unless it is the one that the credential came from, or has been refused. */
  async #unusedToken(credential: HostCredential | undefined): Promise<{ text: string; token: JoinToken } | undefined> {
    const text = (await this.#options.readJoinToken())?.trim();
    if (text === undefined || text === '') return undefined;
    const token = decodeJoinToken(text);
    if (token.id === this.#refusedTokenId) {
      throw new TrysailError(
        'JOIN_TOKEN_REFUSED',
        `the CA has refused the join token ${token.id}: ${this.#lastError ?? ''}`,
        {
          remedy: 'Write a new token into the file identity.ca.joinTokenFile.',
        },
      );
    }
    return token.id === credential?.tokenId ? undefined : { text, token };
  }

  async #join({ text, token }: { text: string; token: JoinToken }, signal: AbortSignal): Promise<HostCredential> {
    const { hostName, trustDomain, log } = this.#options;
    const key = await this.#hostKey();
    const csrPem = createCsr(key);
    try {
      const { answer, addresses } = await this.#anywhere(token.ca, async (address) => {
        const rootPem = await fetchPinnedRoot(parseCaAddress(address), token.root, {
          timeoutMs: this.#options.requestTimeoutMs ?? 10_000,
          signal,
        });
        return this.#request(address, [rootPem], {
          csrPem,
          lifetimeMs: 0,
          metadata: { Host: hostName },
          credential: { kind: 'token', token: text },
          signal,
        });
      });
      const credential = await this.#accept(key, answer, answer.rootsPem, addresses, token.id);
      log.info({ host: hostName, trustDomain, tokenId: token.id, serial: credential.facts.serial }, 'joined the mesh');
      return credential;
    } catch (error) {
      if (error instanceof TrysailError && REFUSED.has(error.code)) this.#refusedTokenId = token.id;
      throw error;
    }
  }

  async #renew(credential: HostCredential, signal: AbortSignal): Promise<HostCredential> {
    const { answer, addresses } = await this.#anywhere(credential.addresses ?? [], async (address) =>
      this.#request(address, credential.rootsPem, {
        csrPem: createCsr(credential.privateKey),
        lifetimeMs: 0,
        metadata: {},
        credential: { kind: 'certificate', chainPem: credential.certificateChainPem, key: credential.privateKey },
        signal,
      }),
    );
    const roots = mergeRoots(credential.rootsPem, answer.rootsPem, this.#clock.now());
    return this.#accept(credential.privateKey, answer, roots, addresses, credential.tokenId);
  }

  async #issueWith(credential: HostCredential, identity: SpiffeId, signal: AbortSignal): Promise<IssuedCertificate> {
    const privateKey = await generatePrivateKey();
    const { answer } = await this.#anywhere(credential.addresses ?? [], async (address) =>
      this.#request(address, credential.rootsPem, {
        csrPem: createCsr(privateKey),
        lifetimeMs: this.#options.workloadLifetimeMs ?? 0,
        metadata: { ImpersonatedIdentity: identity },
        credential: { kind: 'certificate', chainPem: credential.certificateChainPem, key: credential.privateKey },
        signal,
      }),
    );
    await this.#learnRoots(answer.rootsPem);
    return { certificateChainPem: answer.chainPem.join(''), privateKey, rootsPem: answer.rootsPem };
  }

  async #request(
    address: string,
    rootsPem: readonly string[],
    rest: Omit<CaRequest, 'address' | 'rootsPem' | 'serverId' | 'timeoutMs'>,
  ): Promise<CaAnswer> {
    return requestCertificate({
      ...rest,
      address: parseCaAddress(address),
      rootsPem,
      serverId: caSpiffeId(this.#options.trustDomain),
      timeoutMs: this.#options.requestTimeoutMs ?? 10_000,
    });
  }

  /** Tries the CA's addresses in turn, the one that answered last first. */
  async #anywhere(
    known: readonly string[],
    attempt: (address: string) => Promise<CaAnswer>,
  ): Promise<{ readonly answer: CaAnswer; readonly addresses: readonly string[] }> {
    const addresses = this.#addresses(known);
    let last: unknown = new TrysailError('CA_ADDRESS_INVALID', 'no address of the CA is known', {
      remedy: 'Set identity.ca.address.',
    });
    for (const address of addresses) {
      try {
        const answer = await attempt(address);
        this.#preferred = address;
        this.#reachable = true;
        this.#lastContactAtMs = this.#clock.now();
        this.#lastError = undefined;
        return { answer, addresses };
      } catch (error) {
        last = error;
        this.#lastError = errorMessage(error);
        const code = error instanceof TrysailError ? error.code : '';
        this.#reachable = REFUSED.has(code);
        if (!TRY_NEXT.has(code)) break;
      }
    }
    throw last;
  }

  /** The host's own key: kept on disk before its first use, so that a join whose answer is lost can be repeated. */
  async #hostKey(): Promise<PrivateKey> {
    if (this.#credential !== undefined) return this.#credential.privateKey;
    const path = this.#path('host-key.pem');
    try {
      const key = new PrivateKey(await readFile(path, 'utf8'));
      createPublicKey(key.keyObject());
      return key;
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') this.#options.log.warn({ path }, 'the host key is unusable and is made anew');
    }
    const key = await generatePrivateKey();
    await writeState(path, key.reveal());
    return key;
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
      addresses: addresses.map((address) => formatCaAddress(parseCaAddress(address))),
      tokenId,
      facts,
      renewAtMs: renewalTimeMs(facts, this.#random, this.#clock.now()),
    };
    this.#credential = credential;
    await this.#save(credential);
    return credential;
  }

  async #learnRoots(received: readonly string[]): Promise<void> {
    const credential = this.#credential;
    if (credential === undefined) return;
    const rootsPem = mergeRoots(credential.rootsPem, received, this.#clock.now());
    if (rootsPem.join('') === credential.rootsPem.join('')) return;
    this.#credential = { ...credential, rootsPem };
    this.#options.log.info({ roots: rootsPem.length }, "the CA's roots have changed");
    await this.#save(this.#credential);
  }

  async #save(credential: HostCredential): Promise<void> {
    try {
      await writeSealed(this.#path('host.json'), credential);
    } catch (error) {
      // It works from memory; after a restart the same host may join again with the same token and key.
      this.#options.log.error({ err: errorMessage(error) }, 'the host credential is not saved');
    }
  }
}
