/** Faults that a route injects. */
import { nearest } from '../../lib/nearest.ts';
import type { Path } from '../../lib/yaml-document.ts';
import type { Fault } from '../../model/virtual-service.ts';
import { DEPRECATED, type Report } from './kind.ts';
import type { FaultSpec } from './virtual-service-schema.ts';

/** In the order of their numbers. https://grpc.io/docs/guides/status-codes/ */
const GRPC_CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

type Delay = NonNullable<Fault['delay']>;
type Abort = NonNullable<Fault['abort']>;

/** As in Istio, a fault that says nothing of how often it strikes never does. */
function buildDelay(spec: NonNullable<FaultSpec['delay']>, path: Path, report: Report): Delay {
  const { percent, percentage, fixedDelay } = spec;
  if (fixedDelay === undefined) report(path, 'has no "fixedDelay"', 'Add "fixedDelay", such as 5s.');
  if (percent !== undefined)
    report([...path, 'percent'], 'is deprecated', 'Write "percentage: {value: …}".', DEPRECATED);
  const share = percentage === undefined ? (percent ?? 0) : (percentage.value ?? 0);
  return { percent: share, fixedDelayMs: fixedDelay ?? 0 };
}

function abortStatus(spec: NonNullable<FaultSpec['abort']>, path: Path, report: Report): Abort['status'] {
  const { httpStatus, grpcStatus } = spec;
  if ((httpStatus === undefined) === (grpcStatus === undefined))
    report(path, 'needs "httpStatus" or "grpcStatus", and not both', 'Write one of the two.');
  if (grpcStatus === undefined) return { kind: 'http', code: httpStatus ?? 503 };
  const code = GRPC_CODES.indexOf(grpcStatus);
  if (code === -1) {
    const suggestion = nearest(grpcStatus, GRPC_CODES);
    report(
      [...path, 'grpcStatus'],
      `"${grpcStatus}" is not the name of a gRPC status`,
      suggestion === undefined ? `Use one of: ${GRPC_CODES.join(', ')}.` : `Did you mean "${suggestion}"?`,
    );
  }
  return { kind: 'grpc', code };
}

export function buildFault({ delay, abort }: FaultSpec, path: Path, report: Report): Fault {
  if (delay === undefined && abort === undefined)
    report(path, 'has neither "delay" nor "abort"', 'Add one, or remove "fault".');
  return {
    ...(delay !== undefined && { delay: buildDelay(delay, [...path, 'delay'], report) }),
    ...(abort !== undefined && {
      abort: {
        percent: abort.percentage?.value ?? 0,
        status: abortStatus(abort, [...path, 'abort'], report),
      },
    }),
  };
}
