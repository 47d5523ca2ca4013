/** Shares as Envoy writes them: in millionths, so that small ones survive. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { FractionalPercent_DenominatorType, type FractionalPercentSchema } from '../../gen/envoy/type/v3/percent_pb.ts';

/** @param percent 0–100 */
export function fraction(percent: number): MessageInitShape<typeof FractionalPercentSchema> {
  return { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
}
