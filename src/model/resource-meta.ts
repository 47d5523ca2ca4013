/** The envelope that all resources of the API share. */
import type { SourceLocation } from './diagnostic.ts';

export interface ResourceMeta {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly source: SourceLocation;
  /** Istio's precedence: lower is older and wins. Ties go to name, then namespace. */
  readonly age: number;
  /**
   * Published to the fleet by somebody who may speak for this namespace: of what others call it says no more than these
   * namespaces allow. Absent: of a file of this host, whose owner may say anything.
   */
  readonly published?: true;
  /** Codes of analysis that the resource says it knows of (`galley.istio.io/analyze-suppress`), `*` for all; absent: none. */
  readonly suppressed?: readonly string[];
}

/** `VirtualService default/reviews`, as diagnostics name it. */
export function describeObject(meta: Pick<ResourceMeta, 'kind' | 'namespace' | 'name'>): string {
  return `${meta.kind} ${meta.namespace}/${meta.name}`;
}

/** By code units, as Istio compares: the same on every host, whatever its language. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** Oldest first, then by name, then by namespace. */
export function compareAge(a: ResourceMeta, b: ResourceMeta): number {
  return a.age - b.age || compareText(a.name, b.name) || compareText(a.namespace, b.namespace);
}
