/** Which endpoints of a service are in a subset, and which of them Envoy can take at all. */
import { hasLabels } from '../../model/labels.ts';
import type { Endpoint } from '../../model/service.ts';
import { isIpAddress } from '../ip-address.ts';
import { socketPath } from './socket-path.ts';

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65_535;
}

/**
 * Whether Envoy would take the endpoint in a load assignment; for one that it does not it refuses them all, and
 * whoever may register an instance would cut off the service.
 */
function isUsable(endpoint: Endpoint, kind: 'addresses' | 'names'): boolean {
  return (
    (kind === 'names'
      ? endpoint.address !== ''
      : isIpAddress(endpoint.address) || socketPath(endpoint.address) !== undefined) &&
    Number.isInteger(endpoint.weight) &&
    endpoint.weight >= 1 &&
    endpoint.weight <= 65_535 &&
    Object.values(endpoint.ports).every(isPort)
  );
}

/**
 * The usable members of a subset. `previous` is returned when it says the same, so that what is built from it is kept.
 * @param selector the subset's labels; undefined: all endpoints
 * @param kind whether Envoy is told IP addresses or resolves names
 */
export function subsetMembers(
  endpoints: readonly Endpoint[],
  selector: Readonly<Record<string, string>> | undefined,
  kind: 'addresses' | 'names',
  previous: readonly Endpoint[] | undefined,
): readonly Endpoint[] {
  const members = endpoints.filter(
    (endpoint) => isUsable(endpoint, kind) && (selector === undefined || hasLabels(endpoint.labels, selector)),
  );
  const same = previous?.length === members.length && members.every((member, i) => member === previous[i]);
  return same && previous !== undefined ? previous : members;
}
