/** Names that a certificate must bear. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
} from '../../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import { StringMatcherSchema } from '../../gen/envoy/type/matcher/v3/string_pb.ts';
import { isIpAddress } from '../ip-address.ts';

/** Of the kind that the name has the form of; a DNS name is also borne by a certificate for its wildcard. */
export function sanMatcher(name: string): MessageInitShape<typeof SubjectAltNameMatcherSchema> {
  const sanType = name.includes('://')
    ? SubjectAltNameMatcher_SanType.URI
    : name.includes('@')
      ? SubjectAltNameMatcher_SanType.EMAIL
      : isIpAddress(name)
        ? SubjectAltNameMatcher_SanType.IP_ADDRESS
        : SubjectAltNameMatcher_SanType.DNS;
  return { sanType, matcher: create(StringMatcherSchema, { matchPattern: { case: 'exact', value: name } }) };
}
