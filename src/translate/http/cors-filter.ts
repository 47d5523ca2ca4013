/** The CORS policy of a route, as configuration of Envoy's CORS filter. */
import type { Any } from '@bufbuild/protobuf/wkt';
import { CorsPolicySchema } from '../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import type { CorsPolicy } from '../../model/virtual-service.ts';
import { pack } from '../messages.ts';
import { isPresence, stringMatcher } from './string-matcher.ts';

/** The filter answers preflights of allowed origins itself; others go on, or are answered without the headers. */
export function corsConfig(cors: CorsPolicy): Any {
  const { allowMethods, allowHeaders, exposeHeaders, maxAgeMs, allowCredentials, unmatchedPreflights } = cors;
  return pack(CorsPolicySchema, {
    allowOriginStringMatch: cors.allowOrigins.flatMap((match) => (isPresence(match) ? [] : [stringMatcher(match)])),
    allowMethods: allowMethods.join(','),
    allowHeaders: allowHeaders.join(','),
    exposeHeaders: exposeHeaders.join(','),
    ...(maxAgeMs !== undefined && { maxAge: String(Math.floor(maxAgeMs / 1000)) }),
    ...(allowCredentials !== undefined && { allowCredentials }),
    forwardNotMatchingPreflights: unmatchedPreflights === 'FORWARD',
  });
}
