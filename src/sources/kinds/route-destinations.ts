/** Destinations of routes with their weights, and mirrors. */
import type { Path } from '../../lib/yaml-document.ts';
import type { Mirror, RouteDestination } from '../../model/virtual-service.ts';
import { MAX_UINT32 } from '../field-types.ts';
import { buildHeaders } from './header-operations.ts';
import { DEPRECATED, type Report, WITHOUT_EFFECT } from './kind.ts';
import { hintHost } from './likely-mistakes.ts';
import type { DestinationSpec, HeadersSpec, HttpRouteSpec } from './virtual-service-schema.ts';

interface WeightedSpec {
  readonly destination: DestinationSpec;
  readonly weight?: number | undefined;
  readonly headers?: HeadersSpec | undefined;
}

function buildDestination(spec: DestinationSpec, path: Path, report: Report): Mirror['destination'] {
  // *.example.com is the name of a service that its ServiceEntry has for a whole domain.
  if (spec.host === '*') report([...path, 'host'], '"*" is no service', 'Name one.');
  hintHost(spec.host, [...path, 'host'], report);
  return { host: spec.host, subset: spec.subset, port: spec.port?.number };
}

/** A single destination takes all, whatever its weight. @param path of the list */
export function buildDestinations(
  specs: readonly WeightedSpec[],
  path: Path,
  report: Report,
): readonly RouteDestination[] {
  const single = specs.length === 1;
  const destinations = specs.map(
    ({ destination, weight, headers }, i): RouteDestination => ({
      ...buildDestination(destination, [...path, i, 'destination'], report),
      weight: single ? 1 : (weight ?? 0),
      ...(headers !== undefined && { headers: buildHeaders(headers, [...path, i, 'headers'], report) }),
    }),
  );
  if (destinations.length > 1 && destinations.every(({ weight }) => weight === 0))
    report(path, 'the weights total 0', 'Give at least one destination a weight of 1 or more.');
  if (destinations.reduce((sum, { weight }) => sum + weight, 0) > MAX_UINT32)
    report(path, `the weights total more than ${MAX_UINT32}`, 'Write smaller weights.');
  return destinations;
}

/** A mirror that says nothing of its share gets every request. @param path of the route */
export function buildMirrors(spec: HttpRouteSpec, path: Path, report: Report): readonly Mirror[] {
  const { mirror, mirrors = [], mirrorPercent, mirrorPercentage } = spec;
  if (mirrorPercent !== undefined)
    report([...path, 'mirrorPercent'], 'is deprecated', 'Write "mirrorPercentage: {value: …}".', DEPRECATED);
  if (mirror === undefined && mirrorPercentage !== undefined)
    report(
      [...path, 'mirrorPercentage'],
      'has no effect without "mirror"',
      'Add "mirror", or write "percentage" in an entry of "mirrors".',
      WITHOUT_EFFECT,
    );
  if (mirror !== undefined && mirrors.length > 0)
    report([...path, 'mirrors'], 'stands beside "mirror"', 'Keep one of the two.');
  if (mirror !== undefined) {
    const percent = mirrorPercentage === undefined ? (mirrorPercent ?? 100) : (mirrorPercentage.value ?? 0);
    return [{ destination: buildDestination(mirror, [...path, 'mirror'], report), percent }];
  }
  return mirrors.map(({ destination, percentage }, i) => ({
    destination: buildDestination(destination, [...path, 'mirrors', i, 'destination'], report),
    percent: percentage === undefined ? 100 : (percentage.value ?? 0),
  }));
}
