/** A connection to a CA that speaks Istio's API, over TLS pinned to the given roots. */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { IstioCertificateResponse } from '../gen/istio/v1/ca_pb.ts';
import { type CaAddress, formatCaAddress } from './ca-address.ts';
import { caFailure } from './ca-failure.ts';
import { splitPem } from './certificate.ts';
import type { PrivateKey } from './private-key.ts';

export interface CaPeer {
  readonly address: CaAddress;
  /** The only roots that the server's certificate may come from. */
  readonly rootsPem: readonly string[];
  /** The CA's own id, which a server may show instead of the name that it is reached by. */
  readonly serverId: string | undefined;
  /** How this host shows who it is. */
  readonly credential:
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'certificate'; readonly chainPem: string; readonly key: PrivateKey };
}

export interface CaRequest {
  readonly csrPem: string;
  /** 0: as long as the CA likes. */
  readonly lifetimeMs: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface CaAnswer {
  /** Leaf first, without roots. */
  readonly chainPem: readonly string[];
  readonly rootsPem: readonly string[];
}

export interface CaConnection {
  /** Asks for one certificate. Throws what `caFailure` makes. */
  request(request: CaRequest): Promise<CaAnswer>;
  /** Requests in flight still end. */
  close(): void;
}

/** Far more than a chain with its roots has. */
const MAX_PARTS = 20;

function serverCheck({ address, serverId }: CaPeer) {
  return (_name: string, certificate: PeerCertificate): Error | undefined => {
    const names = (certificate.subjectaltname ?? '').split(', ');
    if (serverId !== undefined && names.includes(`URI:${serverId}`)) return undefined;
    return checkServerIdentity(address.host, certificate);
  };
}

function answerOf(address: CaAddress, response: IstioCertificateResponse | undefined): CaAnswer {
  const parts = (response?.certChain ?? []).slice(0, MAX_PARTS).map(splitPem);
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
  return {
    request: async ({ csrPem, lifetimeMs, metadata: hints, timeoutMs, signal }) => {
      const message = certificateRequest(csrPem, lifetimeMs, hints);
      const response = await new Promise<IstioCertificateResponse | undefined>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          CREATE_CERTIFICATE.path,
          CREATE_CERTIFICATE.requestSerialize,
          CREATE_CERTIFICATE.responseDeserialize,
          message,
          metadata,
          { deadline: Date.now() + timeoutMs },
          (error, value) => {
            signal.removeEventListener('abort', cancel);
            if (error === null) resolve(value);
            else reject(caFailure(address, error));
          },
        );
        const cancel = (): void => {
          call.cancel();
        };
        signal.addEventListener('abort', cancel, { once: true });
        if (signal.aborted) cancel();
      });
      return answerOf(address, response);
    },
    close: () => client.close(),
  };
}
