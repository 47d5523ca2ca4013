/** Localities as users write them. */
import type { Locality } from './service.ts';

/** `region/zone/subzone`, of which the later parts may be missing. */
export function parseLocality(text: string | undefined): Locality {
  const [region = '', zone = '', subzone = ''] = (text ?? '').split('/');
  return { region, zone, subzone };
}
