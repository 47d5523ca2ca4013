/** A connection to a CA that speaks Istio's API, and our own calls beside it, over TLS pinned to the given roots. */

import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { MethodDefinition } from '@grpc/grpc-js';
import { type CaAddress, formatCaAddress } from './ca-address.ts';
import { caFailure } from './ca-failure.ts';
import { namesIn, splitPem } from './certificate.ts';
import type { PrivateKey } from './private-key.ts';

export interface CaPeer {
  readonly address: CaAddress;
  /** The only roots that the server's certificate may come from. */
  readonly rootsPem: readonly string[];
  /** The CA's own id, which a server may show instead of the name that it is reached by. */
  readonly serverId: string | undefined;
  /** How this host shows who it is. */
  readonly credential:
    | { readonly kind: 'none' }
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'certificate'; readonly chainPem: string; readonly key: PrivateKey };
}

/** How long a call may take, and what ends it early. */
export interface CallBounds {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface CaRequest extends CallBounds {
  readonly csrPem: string;
  /** 0: as long as the CA likes. */
  readonly lifetimeMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface CaAnswer {
  /** Leaf first, without roots. */
  readonly chainPem: readonly string[];
  readonly rootsPem: readonly string[];
}

export interface CaConnection {
  /** Asks for one certificate. Throws what `caFailure` makes. */
  request(request: CaRequest): Promise<CaAnswer>;
  /** One of the calls of host-method.ts. Throws what `caFailure` makes. */
  call<Q, A>(method: MethodDefinition<Q, A>, question: Q, bounds: CallBounds): Promise<A>;
  /** Requests in flight still end. */
  close(): void;
}

/** Far more than a chain with its roots has. */
const MAX_PARTS = 20;

function serverCheck({ address, serverId }: CaPeer) {
  return (_name: string, certificate: PeerCertificate): Error | undefined => {
    const names = namesIn(certificate.subjectaltname);
    if (serverId !== undefined && names.includes(`URI:${serverId}`)) return undefined;
    return checkServerIdentity(address.host, certificate);
  };
}

/**
 * The chain and the roots of an answer in Istio's form: leaf first, the roots together as the last element.
 * @throws TrysailError CA_FAILED when it holds neither
 */
export function caAnswer(address: CaAddress, certChain: readonly string[]): CaAnswer {
  const parts = certChain.slice(0, MAX_PARTS).map(splitPem);
  const chainPem = parts.slice(0, -1).flat();
  const rootsPem = parts.at(-1) ?? [];
  if (chainPem.length === 0 || rootsPem.length === 0) {
    throw caFailure(address, { code: 13, details: 'its answer holds no certificate and root' });
  }
  return { chainPem, rootsPem };
}

/** Opens nothing yet: gRPC connects at the first request, and anew when a connection has broken. */
export async function connectCa(peer: CaPeer): Promise<CaConnection> {
  // Late, so that an agent with valid certificates on disk starts without either.
  const [{ credentials, Client, Metadata }, { CREATE_CERTIFICATE, certificateRequest }] = await Promise.all([
    import('@grpc/grpc-js'),
    import('./ca-method.ts'),
  ]);
  const { address, credential } = peer;
  const client = new Client(
    formatCaAddress(address),
    credentials.createSsl(
      Buffer.from(peer.rootsPem.join('')),
      credential.kind === 'certificate' ? Buffer.from(credential.key.reveal()) : null,
      credential.kind === 'certificate' ? Buffer.from(credential.chainPem) : null,
      { checkServerIdentity: serverCheck(peer) },
    ),
    {
      // A proxy of the environment is for the web; the CA is a peer of the mesh.
      'grpc.enable_http_proxy': 0,
      'grpc.enable_retries': 0,
      // An IP address may not stand in the handshake as a server's name (RFC 6066); the check above knows the address.
      ...(isIP(address.host) === 0 ? {} : { 'grpc.ssl_target_name_override': 'trysail-ca' }),
    },
  );
  const metadata = new Metadata();
  if (credential.kind === 'token') metadata.set('authorization', `Bearer ${credential.token}`);
  const call = async <Q, A>(
    method: MethodDefinition<Q, A>,
    question: Q,
    { timeoutMs, signal }: CallBounds,
  ): Promise<A> =>
    new Promise((resolve, reject) => {
      const sent = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        question,
        metadata,
        { deadline: Date.now() + timeoutMs },
        (error, value) => {
          signal.removeEventListener('abort', cancel);
          if (error !== null) reject(caFailure(address, error));
          else if (value === undefined) reject(caFailure(address, { code: 13, details: 'its answer is empty' }));
          else resolve(value);
        },
      );
      const cancel = (): void => {
        sent.cancel();
      };
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    });
  return {
    call,
    request: async ({ csrPem, lifetimeMs, metadata: hints, ...bounds }) => {
      const { certChain } = await call(CREATE_CERTIFICATE, certificateRequest(csrPem, lifetimeMs, hints), bounds);
      return caAnswer(address, certChain);
    },
    close: () => client.close(),
  };
}
