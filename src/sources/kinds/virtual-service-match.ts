/** The match blocks of a VirtualService's HTTP routes, and the conditions on the source that all routes share. */
import type { Path } from '../../lib/yaml-document.ts';
import { type HttpMatch, MESH_GATEWAY, type SourceConditions, type StringMatch } from '../../model/virtual-service.ts';
import { isNamespaceName, isToken } from '../field-types.ts';
import { type Report, UNSUPPORTED } from './kind.ts';
import { hintMatch } from './likely-mistakes.ts';
import { buildStringMatch } from './string-match.ts';
import type { HttpMatchSpec, SourceSpec, StringMatchSpec } from './virtual-service-schema.ts';

const GATEWAY = /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/;

/** `web`, `./web` and `shop/web` → `shop/web` in a rule of namespace `shop`; `mesh` stays. */
export function buildGateways(
  written: readonly string[],
  namespace: string,
  path: Path,
  report: Report,
): readonly string[] {
  return written.map((gateway, i) => {
    if (gateway === MESH_GATEWAY) return gateway;
    const [name = '', of = '.', ...others] = gateway.split('/').toReversed();
    if (others.length > 0 || !GATEWAY.test(name) || !(of === '.' || isNamespaceName(of)))
      report([...path, i], `"${gateway}" is not the name of a gateway`, 'Write "mesh", a name, or namespace/name.');
    return `${of === '.' ? namespace : of}/${name}`;
  });
}

/** Only what was written is there. */
export function buildSource(spec: SourceSpec, namespace: string, path: Path, report: Report): SourceConditions {
  const { sourceLabels, sourceNamespace, gateways } = spec;
  if (sourceNamespace !== undefined && !isNamespaceName(sourceNamespace))
    report([...path, 'sourceNamespace'], `"${sourceNamespace}" is not the name of a namespace`, 'Write a namespace.');
  return {
    ...(sourceLabels !== undefined && { sourceLabels }),
    ...(sourceNamespace !== undefined && { sourceNamespace }),
    ...(gateways !== undefined && { gateways: buildGateways(gateways, namespace, [...path, 'gateways'], report) }),
  };
}

function buildMatches(
  specs: Readonly<Record<string, StringMatchSpec>> | undefined,
  path: Path,
  report: Report,
  areHeaders: boolean,
): Readonly<Record<string, StringMatch>> {
  return Object.fromEntries(
    Object.entries(specs ?? {}).map(([name, spec]) => {
      if (name.startsWith('@'))
        report(
          [...path, name],
          `"${name}" asks for a claim of a token, which is not supported yet`,
          'Remove it.',
          UNSUPPORTED,
        );
      else if (areHeaders ? !isToken(name.replace(/^:/, '')) : name === '')
        report([...path, name], `${JSON.stringify(name)} is not a name`, 'Use letters, digits and "-".');
      return [name, buildStringMatch(spec, [...path, name], report, true)];
    }),
  );
}

export function buildHttpMatch(spec: HttpMatchSpec, namespace: string, path: Path, report: Report): HttpMatch {
  const one = (field: 'uri' | 'method' | 'scheme' | 'authority'): StringMatch | undefined =>
    spec[field] === undefined ? undefined : buildStringMatch(spec[field], [...path, field], report, false);
  hintMatch(spec, path, report);
  return {
    name: spec.name,
    uri: one('uri'),
    ignoreUriCase: spec.ignoreUriCase ?? false,
    method: one('method'),
    scheme: one('scheme'),
    authority: one('authority'),
    headers: buildMatches(spec.headers, [...path, 'headers'], report, true),
    withoutHeaders: buildMatches(spec.withoutHeaders, [...path, 'withoutHeaders'], report, true),
    queryParams: buildMatches(spec.queryParams, [...path, 'queryParams'], report, false),
    port: spec.port,
    ...(spec.statPrefix ? { statPrefix: spec.statPrefix } : {}),
    ...buildSource(spec, namespace, path, report),
  };
}
