/** Host names of services: the mesh's templates forwards (service → names) and backwards (name → service). */
import type { MeshConfig } from './mesh-config.ts';

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

/** The namespace of services whose Consul name carries none. */
export const DEFAULT_NAMESPACE = 'default';

/** `payments--web` for `web` in `payments`; the bare name in namespace `default`. */
export function consulNameOf({ namespace, name }: ServiceName): string {
  return namespace === DEFAULT_NAMESPACE ? name : `${namespace}--${name}`;
}

/** The inverse of `consulNameOf`. */
export function serviceOfConsulName(consulName: string): ServiceName {
  const split = consulName.indexOf('--');
  return split > 0
    ? { namespace: consulName.slice(0, split), name: consulName.slice(split + 2) }
    : { namespace: DEFAULT_NAMESPACE, name: consulName };
}

function expand(template: string, service: ServiceName, consulName: string): string {
  return template
    .replaceAll('{service}', service.name)
    .replaceAll('{namespace}', service.namespace)
    .replaceAll('{consulName}', consulName);
}

/** All host names of a service, the canonical one first. */
export function serviceHosts(
  config: Pick<MeshConfig, 'serviceHosts'>,
  service: ServiceName,
  consulName = consulNameOf(service),
): readonly [string, ...string[]] {
  const [canonical = '{service}.{namespace}.mesh', ...aliases] = config.serviceHosts;
  return [expand(canonical, service, consulName), ...aliases.map((template) => expand(template, service, consulName))];
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  '\\{service\\}': '(?<service>[^.*]+)',
  '\\{namespace\\}': '(?<namespace>[^.*]+)',
  '\\{consulName\\}': '(?<consulName>[^.*]+)',
};

/** By template; a mesh has a handful. */
const PATTERNS = new Map<string, RegExp>();

function templatePattern(template: string): RegExp {
  const known = PATTERNS.get(template);
  if (known !== undefined) return known;
  let pattern = template.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  for (const [placeholder, group] of Object.entries(PLACEHOLDERS)) pattern = pattern.replace(placeholder, group);
  const made = new RegExp(`^${pattern}$`);
  PATTERNS.set(template, made);
  return made;
}

/** The service that a host name stands for by the mesh's templates, or undefined for any other name. */
export function serviceOfHost(config: Pick<MeshConfig, 'serviceHosts'>, host: string): ServiceName | undefined {
  for (const template of config.serviceHosts) {
    const groups = templatePattern(template).exec(host)?.groups;
    if (groups === undefined) continue;
    if (groups['consulName'] !== undefined) return serviceOfConsulName(groups['consulName']);
    if (groups['service'] !== undefined)
      return { name: groups['service'], namespace: groups['namespace'] ?? DEFAULT_NAMESPACE };
  }
  return undefined;
}

/** What `reviews.shop` and `reviews.shop.svc` may have been meant for: such names are taken literally. */
export function wholeHost(config: Pick<MeshConfig, 'serviceHosts'>, host: string): string | undefined {
  const [, name, namespace] = /^([^.*:]+)\.([^.*:]+)(?:\.svc)?$/.exec(host) ?? [];
  return name === undefined || namespace === undefined ? undefined : serviceHosts(config, { name, namespace })[0];
}

/**
 * The canonical form of a host name in a resource: a short name is completed with the resource's namespace, a name that
 * fits a template becomes the canonical one, anything else (wildcards, external hosts) is taken literally.
 */
export function canonicalHost(config: Pick<MeshConfig, 'serviceHosts'>, host: string, namespace: string): string {
  if (!host.includes('.') && !host.includes('*') && !host.includes(':'))
    return serviceHosts(config, { name: host, namespace })[0];
  const service = serviceOfHost(config, host);
  return service === undefined ? host : serviceHosts(config, service)[0];
}
