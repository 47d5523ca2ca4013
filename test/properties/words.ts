/** The few names of which drawn configurations consist, so that their resources meet. */
import * as fc from 'fast-check';
import { stringify } from 'yaml';

export const NAMESPACES = ['default', 'shop', 'istio-system'] as const;
/** Of services, in the mesh and outside. */
export const HOSTS = [
  'a.default.mesh',
  'b.default.mesh',
  'c.shop.mesh',
  'api.example.com',
  'www.example.com',
  '*.example.com',
  '*.shop.mesh',
  '10.9.0.1',
] as const;
export const PORTS = [80, 443, 9080, 15_001] as const;
export const PROTOCOLS = ['HTTP', 'HTTP2', 'GRPC', 'HTTPS', 'TLS', 'TCP', 'AUTO'] as const;
export const SUBSETS = ['v1', 'v2'] as const;

export const aNamespace = fc.constantFrom(...NAMESPACES);
export const aHost = fc.constantFrom(...HOSTS);
/** As rules write it: also short, and of what nobody serves. */
export const aWrittenHost = fc.constantFrom(...HOSTS, ...HOSTS, 'a', 'b', 'nobody');
export const aPort = fc.constantFrom(...PORTS);
export const someLabels = fc.dictionary(fc.constantFrom('app', 'version'), fc.constantFrom('a', 'v1', 'v2'), {
  maxKeys: 2,
});
export const aSelector = fc.constantFrom({ app: 'a' }, { app: 'b' }, { version: 'v1' });
export const aDuration = fc.constantFrom('1ms', '1s', '1.5s', '10m', '1h');
export const exportTo = fc.constantFrom(['*'], ['.'], ['~'], ['shop', '.']);
export const aFile = fc.constantFrom('/etc/files/tls.crt', '/etc/files/other.crt');
export const aLocality = fc.constantFrom('eu/a/1', 'eu/b', 'us/a/1', 'ap');

/** A resource before it is text. */
export interface Written {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: unknown;
}

/** Files of one resource each: `<kind>-<name>.yaml`. */
export function filesOf(resources: readonly Written[]): readonly { readonly file: string; readonly text: string }[] {
  return resources.map((resource) => ({
    file: `${resource.kind}-${String(resource.metadata['name'])}.yaml`,
    text: stringify(resource),
  }));
}
