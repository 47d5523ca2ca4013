/** `IstioCertificateService.CreateCertificate` as gRPC wants it described; shared by client and server. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import {
  type IstioCertificateRequest,
  IstioCertificateRequestSchema,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
} from '../gen/istio/v1/ca_pb.ts';

export const CREATE_CERTIFICATE: MethodDefinition<IstioCertificateRequest, IstioCertificateResponse> = {
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
  requestStream: false,
  responseStream: false,
  requestSerialize: (message) => Buffer.from(toBinary(IstioCertificateRequestSchema, message)),
  requestDeserialize: (bytes) => fromBinary(IstioCertificateRequestSchema, bytes),
  responseSerialize: (message) => Buffer.from(toBinary(IstioCertificateResponseSchema, message)),
  responseDeserialize: (bytes) => fromBinary(IstioCertificateResponseSchema, bytes),
};

/** A request for one certificate; a lifetime of 0 leaves it to the CA. */
export function certificateRequest(
  csr: string,
  lifetimeMs: number,
  metadata: Readonly<Record<string, string>>,
): IstioCertificateRequest {
  const validityDuration = BigInt(Math.round(lifetimeMs / 1000));
  return create(IstioCertificateRequestSchema, { csr, validityDuration, metadata: { ...metadata } });
}
