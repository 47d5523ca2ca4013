/** A rate limit service over Envoy's protocol, with mutual TLS of the mesh, for tests. */
import type { TestContext } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DurationSchema } from '@bufbuild/protobuf/wkt';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import {
  type RateLimitRequest,
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponse_Code,
  RateLimitResponse_DescriptorStatusSchema,
  RateLimitResponseSchema,
} from '../../src/gen/envoy/service/ratelimit/v3/rls_pb.ts';
import type { KeyPairPem } from '../translate/certificates.ts';

/** A descriptor as `key=value` parts. */
export interface Question {
  readonly domain: string;
  readonly descriptor: string;
  /** As the request carries it, such as `2/HOUR`. */
  readonly limit: string;
  /** URI of the certificate of who asks. */
  readonly caller: string;
}

export interface RateLimitServerInTest {
  readonly port: number;
  readonly asked: readonly Question[];
  stop(): void;
}

const UNITS = ['UNKNOWN', 'SECOND', 'MINUTE', 'HOUR', 'DAY'];

/** Counts each descriptor for good, by the limit that comes with it. */
export async function startRateLimitServer(
  t: TestContext,
  pair: KeyPairPem,
  rootPem: string,
): Promise<RateLimitServerInTest> {
  const asked: Question[] = [];
  const counts = new Map<string, number>();
  const server = new Server();
  const answer = (
    call: ServerUnaryCall<RateLimitRequest, RateLimitResponse>,
    done: sendUnaryData<RateLimitResponse>,
  ) => {
    const { domain, descriptors } = call.request;
    const statuses = descriptors.map(({ entries, limit }) => {
      const descriptor = entries.map(({ key, value }) => `${key}=${value}`).join(',');
      const count = (counts.get(descriptor) ?? 0) + 1;
      counts.set(descriptor, count);
      const { requestsPerUnit = 0, unit = 0 } = limit ?? {};
      const caller = String(call.getAuthContext().sslPeerCertificate?.subjectaltname);
      asked.push({ domain, descriptor, limit: `${requestsPerUnit}/${UNITS[unit]}`, caller });
      return create(RateLimitResponse_DescriptorStatusSchema, {
        code: count > requestsPerUnit ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK,
        currentLimit: { requestsPerUnit, unit },
        limitRemaining: Math.max(0, requestsPerUnit - count),
        durationUntilReset: create(DurationSchema, { seconds: 1800n }),
      });
    });
    const over = statuses.some(({ code }) => code === RateLimitResponse_Code.OVER_LIMIT);
    const overallCode = over ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK;
    done(null, create(RateLimitResponseSchema, { overallCode, statuses }));
  };
  server.addService(
    {
      shouldRateLimit: {
        path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: RateLimitRequest) => Buffer.from(toBinary(RateLimitRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(RateLimitRequestSchema, bytes),
        responseSerialize: (message: RateLimitResponse) => Buffer.from(toBinary(RateLimitResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(RateLimitResponseSchema, bytes),
      },
    },
    { shouldRateLimit: answer },
  );
  const keys = { cert_chain: Buffer.from(pair.certificateChainPem), private_key: Buffer.from(pair.privateKeyPem) };
  const credentials = ServerCredentials.createSsl(Buffer.from(rootPem), [keys], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  t.after(() => server.forceShutdown());
  return { port, asked, stop: () => server.forceShutdown() };
}
