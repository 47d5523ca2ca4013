/** Faults that a route injects, as configuration of Envoy's fault filter. */
import type { Any } from '@bufbuild/protobuf/wkt';
import { HTTPFaultSchema } from '../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import type { Fault } from '../../model/virtual-service.ts';
import { duration, pack } from '../messages.ts';
import { fraction } from './fractions.ts';

/** A request may be delayed, and then aborted. */
export function faultConfig({ delay, abort }: Fault): Any {
  return pack(HTTPFaultSchema, {
    ...(delay !== undefined && {
      delay: {
        faultDelaySecifier: { case: 'fixedDelay', value: duration(delay.fixedDelayMs) },
        percentage: fraction(delay.percent),
      },
    }),
    ...(abort !== undefined && {
      abort: {
        errorType:
          abort.status.kind === 'http'
            ? { case: 'httpStatus', value: abort.status.code }
            : { case: 'grpcStatus', value: abort.status.code },
        percentage: fraction(abort.percent),
      },
    }),
  });
}
