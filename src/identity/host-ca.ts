/** What a host says to its CA: joining, coming back, asking for certificates, leaving; at the first address that answers. */

import { formatCaAddress, parseCaAddress } from './ca-address.ts';
import { CaAddresses } from './ca-addresses.ts';
import {
  type CaAnswer,
  type CaConnection,
  type CallBounds,
  type CaPeer,
  type CaRequest,
  caAnswer,
  connectCa,
} from './ca-client.ts';
import { CaConnections } from './ca-connections.ts';
import { caSpiffeId } from './ca-id.ts';
import { fetchPinnedRoot } from './ca-root.ts';
import { sha256Hex } from './certificate.ts';
import { createCsr } from './csr.ts';
import type { JoinDescription } from './host-method.ts';
import { signProof } from './host-proof.ts';
import type { JoinToken } from './join-token.ts';
import type { PrivateKey } from './private-key.ts';
import type { Sealed } from './sealed-file.ts';

/** A join token and its text. */
export interface OfferedToken {
  readonly text: string;
  readonly token: JoinToken;
}

export interface HostCaOptions {
  readonly hostName: string;
  /** By which the CA's server is known; undefined: by the name that it is reached by alone. */
  readonly trustDomain: string | undefined;
  /** `host:port`; empty: those of the token or the credential. */
  readonly addresses: readonly string[];
  /** Bound of one attempt at one address, in milliseconds; default 10 s. */
  readonly requestTimeoutMs?: number | undefined;
  readonly now: () => number;
}

/** The addresses of a token in the form in which they are kept. */
export function addressesOf(token: JoinToken): readonly string[] {
  return token.ca.map((address) => formatCaAddress(parseCaAddress(address)));
}

/** All functions throw what `caFailure` and `fetchPinnedRoot` make. */
export class HostCa {
  readonly #options: HostCaOptions;
  readonly #addresses: CaAddresses;
  readonly #connections = new CaConnections();

  constructor(options: HostCaOptions) {
    this.#options = options;
    this.#addresses = new CaAddresses(options.addresses, options.now);
  }

  get health() {
    return this.#addresses.health;
  }

  /** Its addresses in the order in which they are tried. */
  addresses(known: readonly string[]): readonly string[] {
    return this.#addresses.inOrder(known);
  }

  /** What a join with the token would bring; uses nothing up. */
  async describe(
    offered: OfferedToken,
    keySha256: string | undefined,
    signal: AbortSignal,
  ): Promise<JoinDescription & { readonly rootPem: string; readonly address: string }> {
    const { DESCRIBE } = await import('./host-method.ts');
    const { hostName: host } = this.#options;
    return this.#withToken(offered, signal, async (connection, rootPem, address) => {
      const question = { host, ...(keySha256 === undefined ? {} : { keySha256 }) };
      return { ...(await connection.call(DESCRIBE, question, this.#bounds(signal))), rootPem, address };
    });
  }

  /** Trades a token for a host credential. */
  async join(offered: OfferedToken, key: PrivateKey, signal: AbortSignal): Promise<CaAnswer> {
    const metadata = { Host: this.#options.hostName };
    return this.#withToken(offered, signal, async (connection) =>
      connection.request({ csrPem: createCsr(key), lifetimeMs: 0, metadata, ...this.#bounds(signal) }),
    );
  }

  /** Asks for a certificate with a credential that is still good. */
  async ask(credential: Sealed, request: Omit<CaRequest, keyof CallBounds>, signal: AbortSignal): Promise<CaAnswer> {
    const { certificateChainPem: chainPem, privateKey: key } = credential;
    const shown: CaPeer['credential'] = { kind: 'certificate', chainPem, key };
    return this.#known(credential, shown, async (connection) =>
      connection.request({ ...request, ...this.#bounds(signal) }),
    );
  }

  /** A new credential for the same key, by proof of the key alone. */
  async reEnrol(credential: Sealed, signal: AbortSignal): Promise<CaAnswer> {
    const { CHALLENGE, RE_ENROL } = await import('./host-method.ts');
    const { hostName: host } = this.#options;
    const csr = createCsr(credential.privateKey);
    return this.#known(credential, { kind: 'none' }, async (connection, address) => {
      const { nonce } = await connection.call(CHALLENGE, {}, this.#bounds(signal));
      const proof = signProof(credential.privateKey, { purpose: 're-enrol', host, nonce, payload: csr });
      const { certChain } = await connection.call(RE_ENROL, { proof, csr }, this.#bounds(signal));
      return caAnswer(parseCaAddress(address), certChain);
    });
  }

  /** Gives the credential up. */
  async leave(credential: Sealed, signal: AbortSignal): Promise<void> {
    const { CHALLENGE, LEAVE } = await import('./host-method.ts');
    const { hostName: host } = this.#options;
    await this.#known(credential, { kind: 'none' }, async (connection) => {
      const { nonce } = await connection.call(CHALLENGE, {}, this.#bounds(signal));
      const proof = signProof(credential.privateKey, { purpose: 'leave', host, nonce, payload: '' });
      return connection.call(LEAVE, { proof }, this.#bounds(signal));
    });
  }

  close(): void {
    this.#connections.closeAll();
  }

  async #withToken<T>(
    { text, token }: OfferedToken,
    signal: AbortSignal,
    work: (connection: CaConnection, rootPem: string, address: string) => Promise<T>,
  ): Promise<T> {
    return this.#addresses.anywhere(addressesOf(token), async (address) => {
      const parsed = parseCaAddress(address);
      const rootPem = await fetchPinnedRoot(parsed, token.root, this.#bounds(signal));
      const connection = await connectCa(this.#peer(address, [rootPem], { kind: 'token', token: text }));
      try {
        return await work(connection, rootPem, address);
      } finally {
        connection.close();
      }
    });
  }

  async #known<T>(
    { rootsPem, addresses = [], certificateChainPem }: Sealed,
    shown: CaPeer['credential'],
    work: (connection: CaConnection, address: string) => Promise<T>,
  ): Promise<T> {
    const key = `${shown.kind} ${sha256Hex(rootsPem.join('') + certificateChainPem)}`;
    return this.#addresses.anywhere(addresses, async (address) =>
      this.#connections.use(
        `${address} ${key}`,
        () => this.#peer(address, rootsPem, shown),
        async (connection) => work(connection, address),
      ),
    );
  }

  #bounds(signal: AbortSignal): CallBounds {
    return { timeoutMs: this.#options.requestTimeoutMs ?? 10_000, signal };
  }

  #peer(address: string, rootsPem: readonly string[], credential: CaPeer['credential']): CaPeer {
    const { trustDomain } = this.#options;
    const serverId = trustDomain === undefined ? undefined : caSpiffeId(trustDomain);
    return { address: parseCaAddress(address), rootsPem, serverId, credential };
  }
}
