/** Locality failover: how near a locality is to this host. */
import type { Locality } from '../../model/service.ts';

/** 0 same subzone, 1 same zone, 2 same region, 3 anywhere else. */
export function distance(from: Locality, to: Locality): number {
  if (from.region !== to.region) return 3;
  if (from.zone !== to.zone) return 2;
  return from.subzone === to.subzone ? 0 : 1;
}

/** The same order without gaps, as Envoy wants priorities: the nearest that exists becomes 0. */
export function withoutGaps(distances: readonly number[]): readonly number[] {
  const order = [...new Set(distances)].toSorted((a, b) => a - b);
  return distances.map((d) => order.indexOf(d));
}
