/** A client as Istio's agents are: CreateCertificate with a bearer token or a client certificate, written without our client. */
import { create } from '@bufbuild/protobuf';
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { IstioCertificateRequestSchema } from '../../src/gen/istio/v1/ca_pb.ts';
import { CREATE_CERTIFICATE } from '../../src/identity/ca-method.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { generatePrivateKey, type PrivateKey } from '../../src/identity/private-key.ts';

export interface Credential {
  readonly chain: readonly string[];
  readonly key: PrivateKey;
}

export interface Ask {
  readonly address: string;
  readonly rootPem: string;
  readonly bearer?: string;
  readonly certificate?: Credential;
  readonly csr?: string;
  readonly key?: PrivateKey;
  readonly validitySeconds?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The chain and the key; rejects with gRPC's error. */
export async function ask(request: Ask): Promise<Credential & { readonly answer: readonly string[] }> {
  const key = request.key ?? (await generatePrivateKey());
  const client = new Client(
    request.address,
    credentials.createSsl(
      Buffer.from(request.rootPem),
      request.certificate === undefined ? null : Buffer.from(request.certificate.key.reveal()),
      request.certificate === undefined ? null : Buffer.from(request.certificate.chain.join('')),
    ),
    { 'grpc.ssl_target_name_override': 'localhost' },
  );
  const metadata = new Metadata();
  if (request.bearer !== undefined) metadata.set('authorization', `Bearer ${request.bearer}`);
  const message = create(IstioCertificateRequestSchema, {
    csr: request.csr ?? createCsr(key),
    validityDuration: BigInt(request.validitySeconds ?? 0),
    ...(request.metadata === undefined ? {} : { metadata: { ...request.metadata } }),
  });
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        CREATE_CERTIFICATE.path,
        CREATE_CERTIFICATE.requestSerialize,
        CREATE_CERTIFICATE.responseDeserialize,
        message,
        metadata,
        { deadline: Date.now() + 60_000 },
        (error, value) => {
          if (error !== null) reject(error);
          else resolve({ answer: value?.certChain ?? [], chain: value?.certChain.slice(0, -1) ?? [], key });
        },
      );
    });
  } finally {
    client.close();
  }
}

/** For `assert.rejects`: a gRPC failure of this code whose details match. */
export const refusedWith =
  (code: number, details: RegExp) =>
  (error: unknown): boolean => {
    const { code: got, details: text } = error as ServiceError;
    if ((got as number) !== code || !details.test(text))
      throw new Error(`expected ${code} ${details}, got ${got} ${text}`);
    return true;
  };
