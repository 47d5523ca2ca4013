/**
 * The CA's own calls beside Istio's one, for what Istio's API has no words for: what a join would bring, a host that
 * comes back after its credential has ended, a host that leaves. JSON over gRPC: three small messages are not worth a
 * generated codec in every agent.
 */
import type { MethodDefinition } from '@grpc/grpc-js';
import * as z from 'zod/mini';

const text = z.string().check(z.maxLength(200));

const HostProofSchema = z.object({
  host: text,
  /** DER of SubjectPublicKeyInfo, base64. */
  publicKey: z.string().check(z.maxLength(4000)),
  nonce: text,
  /** Over `proofText`, base64. */
  signature: z.string().check(z.maxLength(4000)),
});
/** Who asks, proven with the key that the CA has on record; see host-proof.ts. */
export type HostProof = z.output<typeof HostProofSchema>;

const DescribeRequest = z.object({
  host: text,
  /** Of the key that the host would join with, if it has one already. */
  keySha256: z.optional(text),
});
const DescribeAnswer = z.object({
  trustDomain: z.string(),
  /** Text of the mesh's meshconfig.yaml, if the CA hands one out. */
  meshConfig: z.optional(z.string()),
  /** Public key of the fleet's root (PEM), if the CA hands one out. */
  fleetRoot: z.optional(z.string()),
  /** What the CA's clock shows, milliseconds since 1970. */
  timeMs: z.number(),
  /** Patterns of the identities that the token allows. */
  allow: z.array(z.string()),
  expiresAtMs: z.number(),
});
/** What a join with the token would bring. */
export type JoinDescription = z.output<typeof DescribeAnswer>;

const ChallengeAnswer = z.object({ nonce: z.string(), timeMs: z.number() });
const ReEnrolRequest = z.object({ proof: HostProofSchema, csr: z.string() });
const ReEnrolAnswer = z.object({ certChain: z.array(z.string()) });
const LeaveRequest = z.object({ proof: HostProofSchema });
const Empty = z.object({});

function json<S extends z.core.$ZodType>(schema: S) {
  return {
    serialise: (value: z.output<S>): Buffer => Buffer.from(JSON.stringify(value)),
    /** Throws for anything else; gRPC makes a failed call of it. */
    deserialise: (bytes: Buffer): z.output<S> => z.parse(schema, JSON.parse(bytes.toString('utf8'))),
  };
}

function method<Q extends z.core.$ZodType, A extends z.core.$ZodType>(
  name: string,
  question: Q,
  answer: A,
): MethodDefinition<z.output<Q>, z.output<A>> {
  const [asked, answered] = [json(question), json(answer)];
  return {
    path: `/trysail.ca.v1.HostService/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asked.serialise,
    requestDeserialize: asked.deserialise,
    responseSerialize: answered.serialise,
    responseDeserialize: answered.deserialise,
  };
}

/** With a join token as bearer; uses nothing of it up. */
export const DESCRIBE = method('Describe', DescribeRequest, DescribeAnswer);
/** A nonce for a `HostProof`, good for a minute. */
export const CHALLENGE = method('Challenge', Empty, ChallengeAnswer);
/** A new host credential for the key that the host joined with. */
export const RE_ENROL = method('ReEnrol', ReEnrolRequest, ReEnrolAnswer);
/** The host gives its credential up. */
export const LEAVE = method('Leave', LeaveRequest, Empty);
