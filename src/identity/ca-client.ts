/** One request to a CA that speaks Istio's API, over TLS pinned to the given roots. */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { IstioCertificateRequestSchema, type IstioCertificateResponse } from '../gen/istio/v1/ca_pb.ts';
import { TrysailError } from '../lib/errors.ts';
import { type CaAddress, formatCaAddress } from './ca-address.ts';
import { splitPem } from './certificate.ts';
import type { PrivateKey } from './private-key.ts';

export interface CaRequest {
  readonly address: CaAddress;
  /** The only roots that the server's certificate may come from. */
  readonly rootsPem: readonly string[];
  /** The CA's own id, which a server may show instead of the name that it is reached by. */
  readonly serverId: string | undefined;
  readonly csrPem: string;
  /** 0: as long as the CA likes. */
  readonly lifetimeMs: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly credential:
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'certificate'; readonly chainPem: string; readonly key: PrivateKey };
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface CaAnswer {
  /** Leaf first, without roots. */
  readonly chainPem: readonly string[];
  readonly rootsPem: readonly string[];
}

function serverCheck(address: CaAddress, serverId: string | undefined) {
  return (_name: string, certificate: PeerCertificate): Error | undefined => {
    const names = (certificate.subjectaltname ?? '').split(', ');
    if (serverId !== undefined && names.includes(`URI:${serverId}`)) return undefined;
    return checkServerIdentity(address.host, certificate);
  };
}

/** gRPC's status codes that this file tells apart. */
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;

/** Codes that mean: asking again without a change is useless. */
const REFUSALS: Readonly<Record<number, string>> = {
  3: 'CA_REQUEST_INVALID',
  7: 'CA_REFUSED',
  16: 'CA_UNAUTHENTICATED',
};

function failure(address: CaAddress, error: { readonly code: number; readonly details: string }): TrysailError {
  const where = formatCaAddress(address);
  const { code, details } = error;
  const refusal = REFUSALS[code];
  if (refusal !== undefined) {
    return new TrysailError(refusal, `the CA at ${where} refused: ${details}`, { cause: error });
  }
  if (code === UNAVAILABLE && /not yet valid/i.test(details)) {
    return new TrysailError('CLOCK_BEHIND', `the certificate of the CA at ${where} is not valid yet: ${details}`, {
      cause: error,
      remedy: "Set this host's clock (it seems to be behind), or the CA's.",
    });
  }
  if (code === UNAVAILABLE && /certificate has expired/i.test(details)) {
    return new TrysailError('CLOCK_AHEAD', `the certificate of the CA at ${where} has expired: ${details}`, {
      cause: error,
      remedy: "Set this host's clock (it seems to be ahead), or restart the CA if its own clock was wrong.",
    });
  }
  if (code === UNAVAILABLE && /certificate|altname|self.signed/i.test(details)) {
    return new TrysailError('CA_UNTRUSTED', `the server at ${where} is not the CA that this host trusts: ${details}`, {
      cause: error,
      remedy:
        'Check identity.ca.address, and trustDomain in meshconfig.yaml; if the CA was made anew, join with a new token.',
    });
  }
  if (code === UNAVAILABLE || code === DEADLINE_EXCEEDED || code === CANCELLED || code === RESOURCE_EXHAUSTED) {
    return new TrysailError('CA_UNREACHABLE', `the CA at ${where} does not answer: ${details}`, {
      cause: error,
      remedy: 'Check that the CA runs, its address, and the firewalls in between; certificates in use stay valid.',
    });
  }
  return new TrysailError('CA_FAILED', `the CA at ${where} failed: ${details}`, {
    cause: error,
    remedy: "Look into the CA's log.",
  });
}

/**
 * Asks for one certificate. Throws TrysailError: CA_UNREACHABLE, CA_UNTRUSTED, CLOCK_BEHIND, CLOCK_AHEAD, CA_REFUSED,
 * CA_UNAUTHENTICATED, CA_REQUEST_INVALID or CA_FAILED.
 */
export async function requestCertificate(request: CaRequest): Promise<CaAnswer> {
  // Late, so that an agent with valid certificates on disk starts without either.
  const [{ credentials, Client, Metadata }, { CREATE_CERTIFICATE }] = await Promise.all([
    import('@grpc/grpc-js'),
    import('./ca-method.ts'),
  ]);
  const { address, credential } = request;
  const client = new Client(
    formatCaAddress(address),
    credentials.createSsl(
      Buffer.from(request.rootsPem.join('')),
      credential.kind === 'certificate' ? Buffer.from(credential.key.reveal()) : null,
      credential.kind === 'certificate' ? Buffer.from(credential.chainPem) : null,
      { checkServerIdentity: serverCheck(address, request.serverId) },
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
  const message = create(IstioCertificateRequestSchema, {
    csr: request.csrPem,
    validityDuration: BigInt(Math.round(request.lifetimeMs / 1000)),
    metadata: { ...request.metadata },
  });
  try {
    const response = await new Promise<IstioCertificateResponse>((resolve, reject) => {
      const call = client.makeUnaryRequest(
        CREATE_CERTIFICATE.path,
        CREATE_CERTIFICATE.requestSerialize,
        CREATE_CERTIFICATE.responseDeserialize,
        message,
        metadata,
        { deadline: Date.now() + request.timeoutMs },
        (error, value) => {
          request.signal.removeEventListener('abort', cancel);
          if (error !== null) reject(failure(address, error));
          else if (value === undefined) reject(failure(address, { code: 13, details: 'an empty answer' }));
          else resolve(value);
        },
      );
      const cancel = (): void => {
        call.cancel();
      };
      request.signal.addEventListener('abort', cancel, { once: true });
      if (request.signal.aborted) cancel();
    });
    const parts = response.certChain.slice(0, 20).map(splitPem);
    const chainPem = parts.slice(0, -1).flat();
    const rootsPem = parts.at(-1) ?? [];
    if (chainPem.length === 0 || rootsPem.length === 0) {
      throw failure(address, { code: 13, details: 'its answer holds no certificate and root' });
    }
    return { chainPem, rootsPem };
  } finally {
    client.close();
  }
}
