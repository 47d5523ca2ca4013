/** Documents of other programs: what a repository of YAML holds beside the resources of the mesh. */
import { nearest } from '../lib/nearest.ts';
import { KINDS, UNSUPPORTED_KINDS } from './kinds.ts';

/** Groups of the API that is read here. */
const OWN_GROUPS: ReadonlySet<string> = new Set([
  ...Object.values(KINDS).flatMap(({ apiVersions }) => apiVersions.map((one) => one.split('/')[0] ?? '')),
  ...Object.values(UNSUPPORTED_KINDS),
]);
/** Groups of Kubernetes' own kinds that do not end in `.k8s.io`. */
const KUBERNETES_GROUPS = new Set(['apps', 'autoscaling', 'batch', 'extensions', 'policy']);
/** Kinds of ours of which Kubernetes has others by the same name: without a group, and in the Gateway API's. */
const TWINS: Readonly<Record<string, RegExp>> = { Service: /^v\d/, Gateway: /^gateway\.networking\.(?:x-)?k8s\.io\// };
/** A group this close to one of ours is a slip of the pen, in edits. */
const SLIP_EDITS = 2;

const isOwnKind = (kind: string): boolean => Object.hasOwn(KINDS, kind) || Object.hasOwn(UNSUPPORTED_KINDS, kind);

const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : '');

/** Whether a kind belongs to Kubernetes itself. One of our names in a group where there is none such does not. */
export function isOfKubernetes(kind: string, apiVersion: string): boolean {
  const group = groupOf(apiVersion);
  const theirs = group === '' ? /^v\d/.test(apiVersion) : KUBERNETES_GROUPS.has(group) || group.endsWith('.k8s.io');
  return theirs && (!isOwnKind(kind) || TWINS[kind]?.test(apiVersion) === true);
}

/** Whether a group is one that is read here, or is likely meant to be one. */
function isOwnGroup(group: string, kind: string): boolean {
  if (OWN_GROUPS.has(group)) return true;
  // Istio's operator is the one program of Istio's whose kinds configure no mesh.
  if (group === 'istio.io' || (group.endsWith('.istio.io') && group !== 'install.istio.io')) return true;
  return nearest(group, [...OWN_GROUPS], isOwnKind(kind) ? undefined : SLIP_EDITS) !== undefined;
}

/**
 * Whether a kind is another program's: Kubernetes', an operator's, another mesh's. Kinds of Istio's that are not
 * supported are none such, and neither is what looks like a misspelt one of ours.
 */
export function isForeignKind(kind: string, apiVersion: string): boolean {
  if (isOfKubernetes(kind, apiVersion)) return true;
  const group = groupOf(apiVersion);
  // Without a group and not Kubernetes', it is the group of one of ours that is forgotten.
  return group !== '' && !KUBERNETES_GROUPS.has(group) && !group.endsWith('.k8s.io') && !isOwnGroup(group, kind);
}

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a document is to one who looks for resources of the mesh. */
export type DocumentSort =
  /** A resource, or what is meant to be one. */
  | 'resource'
  /** A resource of another program. */
  | 'foreign'
  /** No resource of anybody: values of a chart, a list of patches, `package.json`. */
  | 'other';

/** Tells them apart. What has lost its `apiVersion` or `kind` alone is still meant to be a resource. */
export function sortOf(value: unknown): DocumentSort {
  if (!isMapping(value)) return 'other';
  const { apiVersion, kind, metadata, spec } = value;
  if (typeof apiVersion === 'string' && typeof kind === 'string')
    return isForeignKind(kind, apiVersion) ? 'foreign' : 'resource';
  const isMeant =
    (typeof kind === 'string' && isOwnKind(kind)) ||
    (typeof apiVersion === 'string' && OWN_GROUPS.has(groupOf(apiVersion))) ||
    (isMapping(metadata) && isMapping(spec));
  return isMeant ? 'resource' : 'other';
}
