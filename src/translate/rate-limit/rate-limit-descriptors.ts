/** What of a request chooses its bucket, in the words of Envoy's rate limits. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RateLimit_ActionSchema } from '../../gen/envoy/config/route/v3/route_components_pb.ts';
import {
  DirectSourceIPInputSchema,
  SourceIPInputSchema,
} from '../../gen/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.ts';
import { DescriptorSchema } from '../../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts';
import type { Limit, LimitKey } from '../../model/rate-limit.ts';
import { pack } from '../messages.ts';

export type Action = MessageInitShape<typeof RateLimit_ActionSchema>;

/** Under this key a descriptor names its limit. */
const LIMIT_KEY = 'limit';

/** `caller`, `path`, `header_x-tenant`: the key under which a descriptor has a value of the request. */
export function descriptorKey(key: LimitKey): string {
  return key.kind === 'header' ? `header_${key.name}` : key.kind;
}

/** What cannot be said of a request, such as the caller of plain text, is left out of its descriptor. */
function expression(key: string, text: string): Action {
  const typedConfig = pack(DescriptorSchema, { descriptorKey: key, text, skipIfError: true });
  return {
    actionSpecifier: { case: 'extension', value: { name: 'envoy.rate_limit_descriptors.expr', typedConfig } },
  };
}

function header(headerName: string, key: string): Action {
  return {
    actionSpecifier: { case: 'requestHeaders', value: { headerName, descriptorKey: key, skipIfAbsent: true } },
  };
}

/** Whose address counts: the peer's of the connection, or the client's as far as the connection manager believes it. */
export type AddressOf = 'connection' | 'client';

function action(by: LimitKey, address: AddressOf): Action {
  const key = descriptorKey(by);
  switch (by.kind) {
    case 'header':
      return header(by.name, key);
    case 'method':
      return header(':method', key);
    case 'path':
      return expression(key, 'request.url_path');
    // Of the certificate that Envoy has verified; no header has a say in it.
    case 'caller':
      return expression(key, 'connection.uri_san_peer_certificate');
    case 'remoteAddress': {
      // Within the mesh `x-forwarded-for` is whatever a caller writes; a gateway knows how many proxies it may believe.
      const typedConfig = address === 'client' ? pack(SourceIPInputSchema, {}) : pack(DirectSourceIPInputSchema, {});
      return { actionSpecifier: { case: 'extension', value: { name: key, typedConfig } } };
    }
  }
}

/** The descriptor of a request: the limit's name, then the values that it counts by. */
export function descriptorActions({ name, by }: Limit, address: AddressOf): Action[] {
  const named: Action = {
    actionSpecifier: { case: 'genericKey', value: { descriptorKey: LIMIT_KEY, descriptorValue: name } },
  };
  return [named, ...by.map((key) => action(key, address))];
}

/** The descriptors that `descriptorActions` makes: a value that is empty stands for any, with a bucket for each. */
export function descriptorEntries({ name, by }: Limit): { readonly key: string; readonly value: string }[] {
  return [{ key: LIMIT_KEY, value: name }, ...by.map((key) => ({ key: descriptorKey(key), value: '' }))];
}
